using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Kernels.Casts;

/// <summary>The casts as ATen operations, step by step as the reference implementation does them.</summary>
internal sealed class PlainCasts : ICastKernels
{
    public string Name => "plain";

    public Tensor Amax(Tensor x)
    {
        using var scope = NewDisposeScope();
        if (x.numel() == 0) return zeros([], dtype: ScalarType.Float32, device: x.device).MoveToOuterDisposeScope();
        return x.abs().max().to(ScalarType.Float32).MoveToOuterDisposeScope();
    }

    public Tensor AmaxAlong(Tensor x, int dimension)
    {
        using var scope = NewDisposeScope();
        if (x.shape[dimension] > 0) return x.abs().amax([dimension], keepdim: true).to(ScalarType.Float32).MoveToOuterDisposeScope();
        var shape = x.shape.ToArray();
        shape[dimension] = 1;
        return zeros(shape, device: x.device).MoveToOuterDisposeScope();
    }

    public Tensor Cast(Tensor x, Tensor scale, Float8Format format)
    {
        using var scope = NewDisposeScope();
        // libtorch's cast does not saturate: clamp first. clamp keeps NaN.
        return x.to(ScalarType.Float32).mul(scale).clamp(-format.Max, format.Max).to(format.Type).contiguous().MoveToOuterDisposeScope();
    }

    public (Tensor Data, Tensor Scale) CastBlocks(Tensor x, int dimension, int length, Float8Format format, ScaleRounding rounding)
    {
        using var scope = NewDisposeScope();
        long r = x.shape[0], c = x.shape[1];
        var blocks = dimension == 1 ? x.reshape(r, c / length, length) : x.reshape(r / length, length, c);
        // In the blocks the reduced dimension is the last for rows, the middle one for columns.
        var along = dimension == 1 ? 2 : 1;
        var amax = x.numel() == 0
            ? zeros(dimension == 1 ? [r, c / length] : [r / length, c], device: x.device)
            : blocks.abs().amax([along]).to(ScalarType.Float32);
        var scale = BlockScale.FromAmax(amax, format, rounding);
        var data = Cast(blocks, BlockScale.Decode(scale, reciprocal: true).unsqueeze(along), format).reshape(r, c);
        return (data.MoveToOuterDisposeScope(), scale.MoveToOuterDisposeScope());
    }

    public Tensor Decode(Tensor data, ScalarType type) => data.to(type);

    public Tensor DecodeBlocks(Tensor data, Tensor scale, ScalarType type)
    {
        using var scope = NewDisposeScope();
        long r = data.shape[0], c = data.shape[1];
        if (data.numel() == 0) return zeros(r, c, dtype: type, device: data.device).MoveToOuterDisposeScope();
        long rows = scale.shape[0], columns = scale.shape[1];
        var blocks = data.to(ScalarType.Float32).reshape(rows, r / rows, columns, c / columns);
        var factors = BlockScale.Decode(scale, reciprocal: false).reshape(rows, 1, columns, 1);
        return (blocks * factors).reshape(r, c).to(type).MoveToOuterDisposeScope();
    }

    public Tensor Rescale(Tensor product, Tensor left, Tensor right, ScalarType type)
    {
        using var scope = NewDisposeScope();
        return product.to(ScalarType.Float32).mul(left * right).to(type).MoveToOuterDisposeScope();
    }
}
