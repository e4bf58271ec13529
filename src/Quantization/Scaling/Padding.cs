using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using static TorchSharp.torch;

namespace Titan.Quantization.Scaling;

/// <summary>Zeros at the end of the dimension that a matmul contracts.</summary>
internal static class Padding
{
    /// <summary>A quantised operand whose contracted dimension is filled up to <paramref name="size"/>; the scales of the new blocks are 1.</summary>
    public static QuantizedTensor Extend(QuantizedTensor q, int contracted, long size)
    {
        var data = ZeroFill.ToSize(q.Data, contracted, size);
        if (!q.ScalesInside) return new QuantizedTensor(data, q.Scale.alias(), q.Format, Inverse: q.Inverse?.alias());
        var length = q.Tile is { } tile ? contracted == 1 ? tile.Columns : tile.Rows : q.Data.Sizes()[contracted] / q.Scale.Sizes()[contracted];
        var shape = q.Scale.shape.ToArray();
        shape[contracted] = (size + length - 1) / length - shape[contracted];
        using var scope = NewDisposeScope();
        // cat does not know e8m0: extend the bytes.
        var type = q.HasBlocks ? ScalarType.Byte : ScalarType.Float32;
        var scale = q.HasBlocks ? AtenGateway.ViewDtype(q.Scale.contiguous(), type) : q.Scale;
        scale = cat([scale, full(shape, q.HasBlocks ? 127 : 1, dtype: type, device: scale.device)], contracted);
        if (q.HasBlocks) scale = AtenGateway.ViewDtype(scale, Float8Format.E8M0.Type);
        return new QuantizedTensor(data, scale.MoveToOuterDisposeScope(), q.Format, q.Tile);
    }
}
