using System.Runtime.CompilerServices;
using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Fused;
using Titan.Kernels.Matmuls;
using Titan.Kernels.ModelOps;
using static TorchSharp.torch;

namespace Titan.Kernels.Activations;

/// <summary>The implementations of <see cref="IModelKernels"/>.</summary>
public static class ModelKernels
{
    private static readonly IModelKernels PlainOnGpu = new PlainGpuKernels(), Cpu = new FusedKernels(), Gpu = new FusedGpuKernels();

    /// <summary>The kernels of a run.</summary>
    /// <param name="fused">Whether fused kernels are asked for: <c>compile.enable</c> with the component <c>model</c>.</param>
    /// <param name="cuda">Whether the layers run on a GPU.</param>
    public static IModelKernels For(bool fused, bool cuda) => fused ? cuda ? Gpu : Cpu : cuda ? PlainOnGpu : PlainModelKernels.Instance;

    /// <summary>A GPU's attention reads the heads that share keys and values from where they are.</summary>
    private static Tensor? Grouped(Tensor q, Tensor k, Tensor v, Tensor? mask, bool causal) =>
        mask is null && causal && q.shape[1] != k.shape[1] && q.device_type == TorchSharp.DeviceType.CUDA ? AtenGateway.ScaledDotProductAttention(q, k, v, causal: true) : null;

    private sealed class PlainGpuKernels : PlainModelKernels
    {
        public override Tensor Attend(Tensor q, Tensor k, Tensor v, Tensor? mask, bool causal) => Grouped(q, k, v, mask, causal) ?? base.Attend(q, k, v, mask, causal);

        public override Tensor GroupedMultiply(Tensor left, Tensor right, RowGroups groups, bool wide = false) => HighPrecisionGroupedProduct.Multiply(left, right, groups, wide);
    }

    private class FusedKernels : IModelKernels
    {
        private readonly ConditionalWeakTable<RotaryAngles, RotaryTable> tables = [];

        public virtual string Name => "fused";

        public Tensor Multiply(Tensor left, Tensor right, bool wide = false) => HighPrecisionProduct.Multiply(left, right, wide);

        public Tensor GroupedMultiply(Tensor left, Tensor right, RowGroups groups, bool wide = false) => HighPrecisionGroupedProduct.Multiply(left, right, groups, wide);

        public Activation RmsNorm(Tensor x, Tensor weight, double epsilon, bool wantsAmax)
        {
            var (y, amax) = FusedRmsNorm.Normalize(x, weight, epsilon, wantsAmax, offer: null);
            return new Activation(y, amax);
        }

        public (Tensor Sum, Activation Normed) AddRmsNorm(Tensor x, Activation addend, Tensor weight, double epsilon, bool wantsAmax)
        {
            var (y, sum, amax) = FusedRmsNorm.NormalizeSum(x, addend.Values, weight, epsilon, wantsAmax, KnownGradient.Offer(addend));
            return (sum, new Activation(y, amax));
        }

        public Activation SwiGlu(Activation gate, Activation up, bool wantsAmax)
        {
            var (hidden, amax) = FusedSwiGlu.Multiply(gate.Values, up.Values, wantsAmax, KnownGradient.Offer(gate), KnownGradient.Offer(up));
            return new Activation(hidden, amax);
        }

        public Tensor Rotate(Activation projected, Tensor heads, RotaryAngles angles) =>
            // The kernel turns neighbours by one angle per position.
            angles is { Layout: RotaryLayout.Pairs, Cos: var cos } && cos.dim() == 2 && RotaryKernel.Covers(heads)
                ? FusedRotary.Rotate(heads, tables.GetValue(angles, static a => new RotaryTable(a.Cos, a.Sin)), offer: KnownGradient.Offer(projected))
                : PlainModelKernels.Rotate(heads, angles);

        public virtual Tensor Attend(Tensor q, Tensor k, Tensor v, Tensor? mask, bool causal) => PlainModelKernels.Instance.Attend(q, k, v, mask, causal);
    }

    private sealed class FusedGpuKernels : FusedKernels
    {
        public override string Name => "cuda";

        public override Tensor Attend(Tensor q, Tensor k, Tensor v, Tensor? mask, bool causal) => Grouped(q, k, v, mask, causal) ?? base.Attend(q, k, v, mask, causal);
    }
}
