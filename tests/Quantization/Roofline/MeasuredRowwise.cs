namespace Titan.Quantization.Tests.Roofline;

/// <summary>
/// Measured speed-up of LayerNorm, Linear, Sigmoid, forward and backward, rowwise over compiled bf16, on the H100 that the specification "H100" describes.
/// </summary>
/// <remarks>Source: torchao's float8 training documentation (PyTorch 2.8), read from the published table.</remarks>
internal static class MeasuredRowwise
{
    public static long[] Tokens { get; } = [8192, 16384, 32768];

    /// <summary>Values of K and of N.</summary>
    public static long[] Sizes { get; } = [1024, 2048, 4096, 8192, 16384, 32768];

    /// <summary>Row: M, then K; column: N.</summary>
    private static readonly double[,] Table =
    {
        { 0.48, 0.52, 0.65, 0.77, 0.83, 0.84 },
        { 0.45, 0.64, 0.82, 1.01, 1.03, 1.06 },
        { 0.52, 0.76, 1.00, 1.13, 1.17, 1.19 },
        { 0.59, 0.85, 1.05, 1.20, 1.31, 1.41 },
        { 0.58, 0.82, 1.03, 1.22, 1.37, 1.40 },
        { 0.59, 0.82, 1.04, 1.30, 1.36, 1.46 },
        { 0.48, 0.58, 0.73, 0.86, 0.85, 0.89 },
        { 0.51, 0.70, 0.90, 1.05, 1.07, 1.15 },
        { 0.57, 0.79, 1.02, 1.20, 1.26, 1.40 },
        { 0.61, 0.87, 1.08, 1.33, 1.39, 1.49 },
        { 0.59, 0.83, 1.07, 1.34, 1.42, 1.55 },
        { 0.60, 0.85, 1.16, 1.35, 1.48, 1.72 },
        { 0.51, 0.62, 0.77, 0.87, 0.88, 0.94 },
        { 0.54, 0.73, 0.91, 1.08, 1.14, 1.27 },
        { 0.59, 0.81, 1.04, 1.28, 1.35, 1.49 },
        { 0.63, 0.87, 1.11, 1.41, 1.50, 1.62 },
        { 0.60, 0.83, 1.16, 1.39, 1.49, 1.73 },
        { 0.63, 0.93, 1.16, 1.48, 1.70, 1.52 },
    };

    public static double SpeedUp(long tokens, long k, long n) => Table[Array.IndexOf(Tokens, tokens) * Sizes.Length + Array.IndexOf(Sizes, k), Array.IndexOf(Sizes, n)];
}
