using Titan.Abstractions;
using Titan.Kernels.Casts;
using static TorchSharp.torch;

namespace Titan.Benchmarks;

/// <summary>A kernel and the chain of plain ATen operations that it replaces.</summary>
/// <param name="Name">The kernel, with the dtype that it reads.</param>
/// <param name="Type">Dtype of the inputs.</param>
/// <param name="Prepare">Both, with what they read, on given inputs; within the dispose scope of the inputs.</param>
/// <param name="Differentiable">Whether it is an operation of the model, which rounds otherwise than the chain; casts give the same bytes.</param>
public sealed record KernelCase(string Name, ScalarType Type, Func<KernelInputs, KernelWork> Prepare, bool Differentiable = false)
{
    private const ScalarType Bf16 = ScalarType.BFloat16, Fp32 = ScalarType.Float32;

    /// <summary>All of them; a new kernel is a line.</summary>
    public static IReadOnlyList<KernelCase> All { get; } =
    [
        Cast("amax bf16", Bf16, i => [i.X], (k, i) => k.Amax(i.X)),
        Cast("amax fp32", Fp32, i => [i.X], (k, i) => k.Amax(i.X)),
        Cast("amax per row bf16", Bf16, i => [i.X], (k, i) => k.AmaxAlong(i.X, 1)),
        Cast("amax per column bf16", Bf16, i => [i.X], (k, i) => k.AmaxAlong(i.X, 0)),
        Cast("cast bf16 -> e4m3", Bf16, i => [i.X, i.Scale], (k, i) => k.Cast(i.X, i.Scale, Float8Format.E4M3)),
        Cast("cast fp32 -> e4m3", Fp32, i => [i.X, i.Scale], (k, i) => k.Cast(i.X, i.Scale, Float8Format.E4M3)),
        Cast("cast bf16 -> e5m2", Bf16, i => [i.X, i.Scale], (k, i) => k.Cast(i.X, i.Scale, Float8Format.E5M2)),
        Cast("cast per row bf16 -> e4m3", Bf16, i => [i.X, i.RowScale], (k, i) => k.Cast(i.X, i.RowScale, Float8Format.E4M3)),
        Cast("cast per column bf16 -> e4m3", Bf16, i => [i.X, i.ColumnScale], (k, i) => k.Cast(i.X, i.ColumnScale, Float8Format.E4M3)),
        Cast("MX blocks along rows bf16 -> e4m3", Bf16, i => [i.X], (k, i) => k.CastBlocks(i.X, 1, 32, Float8Format.E4M3, ScaleRounding.RoundUp)),
        Cast("MX blocks along columns bf16 -> e4m3", Bf16, i => [i.X], (k, i) => k.CastBlocks(i.X, 0, 32, Float8Format.E4M3, ScaleRounding.RoundUp)),
        Cast("MX blocks along rows fp32 -> e4m3", Fp32, i => [i.X], (k, i) => k.CastBlocks(i.X, 1, 32, Float8Format.E4M3, ScaleRounding.RoundUp)),
        Cast("decode e4m3 -> bf16", Bf16, i => [i.Float8], (k, i) => k.Decode(i.Float8, Bf16)),
        Cast("decode e4m3 -> fp32", Bf16, i => [i.Float8], (k, i) => k.Decode(i.Float8, Fp32)),
        Cast("decode MX blocks -> bf16", Bf16, i => [i.BlockFloat8, i.BlockScales], (k, i) => k.DecodeBlocks(i.BlockFloat8, i.BlockScales, Bf16)),
        Cast("rescale bf16, per row and column", Bf16, i => [i.X, i.SignPerRow, i.SignPerColumn], (k, i) => k.Rescale(i.X, i.SignPerRow, i.SignPerColumn, Bf16)),
        Cast("rescale fp32 -> bf16, per row and column", Fp32, i => [i.X, i.SignPerRow, i.SignPerColumn], (k, i) => k.Rescale(i.X, i.SignPerRow, i.SignPerColumn, Bf16)),
        .. Model("RMSNorm bf16", ModelKernels.RmsNorm),
        .. Model("rotary bf16", ModelKernels.Rotary),
        .. Model("SwiGLU bf16", ModelKernels.SwiGlu),
        .. Model("cross-entropy bf16", ModelKernels.CrossEntropy),
        .. Model("cross-entropy of 128256 words bf16", ModelKernels.LargeCrossEntropy),
    ];

    private static KernelCase Cast(string name, ScalarType type, Func<KernelInputs, Tensor[]> reads, Func<ICastKernels, KernelInputs, Tensor> run) =>
        new(name, type, i => new KernelWork(reads(i), () => [run(CastKernels.Plain, i)], () => [run(i.Kernels, i)]));

    private static KernelCase Cast(string name, ScalarType type, Func<KernelInputs, Tensor[]> reads, Func<ICastKernels, KernelInputs, (Tensor Data, Tensor Scale)> run)
    {
        return new KernelCase(name, type, i => new KernelWork(reads(i), () => Both(run(CastKernels.Plain, i)), () => Both(run(i.Kernels, i))));

        static Tensor[] Both((Tensor Data, Tensor Scale) cast) => [cast.Data, cast.Scale];
    }

    /// <summary>The kernel forward, and forward and backward.</summary>
    private static IEnumerable<KernelCase> Model(string name, Func<KernelInputs, ModelKernel> kernel) =>
        [new($"{name}, forward", Bf16, i => kernel(i).Forward, true), new($"{name}, forward and backward", Bf16, i => kernel(i).ForwardAndBackward, true)];
}
