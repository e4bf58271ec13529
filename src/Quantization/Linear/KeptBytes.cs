using Titan.Abstractions;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Linear;

/// <summary>The form of a quantised tensor whose tensors autograd keeps. Of two copies, the one is kept that a matmul reads along the columns.</summary>
internal sealed record KeptBytes(Float8Format Format, (int Rows, int Columns)? Tile, bool HasInverse, bool HasSwizzled)
{
    /// <summary>The form, and the tensors to keep.</summary>
    public static (KeptBytes Form, Tensor[] Tensors) Of(QuantizedTensor bytes) =>
        (new KeptBytes(bytes.Format, bytes.Tile, bytes.Inverse is not null, bytes.Swizzled is not null), [.. new[] { bytes.AlongColumns(), bytes.Scale, bytes.Inverse, bytes.Swizzled }.OfType<Tensor>()]);

    /// <summary>The tensor again.</summary>
    /// <param name="saved">The tensor that was kept as number i.</param>
    public QuantizedTensor Restore(Func<int, Tensor> saved) => new(
        saved(0), saved(1), Format, Tile, Inverse: HasInverse ? saved(2) : null, Swizzled: HasSwizzled ? saved(HasInverse ? 3 : 2) : null);
}
