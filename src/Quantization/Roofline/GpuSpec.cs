namespace Titan.Quantization.Roofline;

/// <summary>What a GPU can do at most, and which part of that large kernels reach.</summary>
/// <param name="Name">Short name, as <c>titan estimate --gpu</c> takes it.</param>
/// <param name="Bf16">Dense bf16 matmul, FLOP/s.</param>
/// <param name="Float8">Dense float8 matmul, FLOP/s.</param>
/// <param name="Bandwidth">Memory, bytes/s.</param>
/// <param name="MatmulEfficiency">Reached part of <paramref name="Bf16"/> and <paramref name="Float8"/>.</param>
/// <param name="BandwidthEfficiency">Reached part of <paramref name="Bandwidth"/>.</param>
/// <param name="Note">Where the numbers come from.</param>
public sealed record GpuSpec(string Name, double Bf16, double Float8, double Bandwidth, double MatmulEfficiency, double BandwidthEfficiency, string Note)
{
    /// <summary>No kernel is faster than this, in seconds: one that reads and writes a single element, measured on H100 (torchao).</summary>
    public const double KernelFloor = 2e-6;

    /// <summary>Seconds that moving so many bytes takes.</summary>
    public double MoveSeconds(double bytes) => bytes / (Bandwidth * BandwidthEfficiency);

    /// <summary>Seconds that so many operations take.</summary>
    public double ComputeSeconds(double flops, bool float8) => flops / ((float8 ? Float8 : Bf16) * MatmulEfficiency);
}
