using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>Plain ATen operations: what every layer computes by until the host gives it other kernels, and the oracle of those.</summary>
public class PlainModelKernels : IModelKernels
{
    /// <summary>For derived classes that know a device better.</summary>
    protected PlainModelKernels() { }

    /// <summary>The one there is.</summary>
    public static PlainModelKernels Instance { get; } = new();

    /// <inheritdoc />
    public string Name => "plain";

    /// <inheritdoc />
    public Tensor Multiply(Tensor left, Tensor right, bool wide = false) => Matmul.Multiply(left, right, wide);

    /// <inheritdoc />
    public virtual Tensor GroupedMultiply(Tensor left, Tensor right, RowGroups groups, bool wide = false) => GroupedLoop.Multiply(Multiply, left, right, groups, wide);

    /// <inheritdoc />
    public Activation RmsNorm(Tensor x, Tensor weight, double epsilon, bool wantsAmax)
    {
        var wide = x.to(ScalarType.Float32);
        var scale = wide.square().mean([-1], keepdim: true).add(epsilon).rsqrt();
        // The weight is rounded to the compute dtype first, as upstream's mixed precision does, then everything stays fp32 until the end.
        return new Activation((wide * scale * weight).to(x.dtype));
    }

    /// <inheritdoc />
    public (Tensor Sum, Activation Normed) AddRmsNorm(Tensor x, Activation addend, Tensor weight, double epsilon, bool wantsAmax)
    {
        var sum = x + addend.Values;
        return (sum, RmsNorm(sum, weight, epsilon, wantsAmax));
    }

    /// <inheritdoc />
    public Activation SwiGlu(Activation gate, Activation up, bool wantsAmax) => new(nn.functional.silu(gate.Values) * up.Values);

    /// <inheritdoc />
    public Tensor Rotate(Activation projected, Tensor heads, RotaryAngles angles) => Rotate(heads, angles);

    /// <summary>Rotates x [B, S, H, D] by the angles of its positions, in fp32; returns x's dtype.</summary>
    public static Tensor Rotate(Tensor x, RotaryAngles angles)
    {
        using var scope = NewDisposeScope();
        var s = x.shape;
        var halves = angles.Layout == RotaryLayout.Halves;
        var pairs = x.to(ScalarType.Float32).reshape(halves ? [s[0], s[1], s[2], 2, s[3] / 2] : [s[0], s[1], s[2], s[3] / 2, 2]);
        var along = halves ? 3 : 4;
        Tensor a = pairs.select(along, 0), b = pairs.select(along, 1);
        Tensor c = OfLength(angles.Cos, s[1]), n = OfLength(angles.Sin, s[1]);
        return stack([a * c - b * n, a * n + b * c], along).reshape(s).to(x.dtype).MoveToOuterDisposeScope();
    }

    /// <inheritdoc />
    public virtual Tensor Attend(Tensor q, Tensor k, Tensor v, Tensor? mask, bool causal)
    {
        var groups = q.shape[1] / k.shape[1];
        if (groups != 1) (k, v) = (Repeat(k, groups), Repeat(v, groups));
        return nn.functional.scaled_dot_product_attention(q, k, v, mask, 0, causal && mask is null);
    }

    /// <summary>[B, KV, S, D] to [B, KV * n, S, D], each head n times in a row.</summary>
    private static Tensor Repeat(Tensor x, long n)
    {
        var s = x.shape;
        return x.unsqueeze(2).expand(s[0], s[1], n, s[2], s[3]).reshape(s[0], s[1] * n, s[2], s[3]);
    }

    /// <summary>[..., S, 1, D / 2] of the first S positions.</summary>
    private static Tensor OfLength(Tensor table, long length) => table.narrow(-2, 0, length).unsqueeze(-2);
}
