using Titan.Abstractions;

namespace Titan.Benchmarks;

/// <summary>The shape generators of torchao's float8 microbenchmark, and a small default.</summary>
public static class LinearShapes
{
    /// <summary>Generators by name: M tokens, K x N weight.</summary>
    public static IReadOnlyDictionary<string, Func<IReadOnlyList<(long Tokens, LinearShape Shape)>>> Generators { get; } =
        new Dictionary<string, Func<IReadOnlyList<(long, LinearShape)>>>
        {
            // Linears of a model that trains on a few cores.
            ["small"] = () => Grid([512], [512, 1024, 2048], [512, 1024, 2048]),
            ["pow2"] = () => [.. Powers(10, 14).Select(Cube)],
            ["pow2_extended"] = () => [.. Powers(10, 14).SelectMany(p => new[] { Cube(p), Cube(p + p / 2) })],
            // Llama 3 70B on 8 ranks of tensor parallelism: wqkv, wo, w1 and w3, w2.
            ["llama"] = () => [.. new[] { (8192, 1280), (1024, 8192), (8192, 7168), (3584, 8192) }.Select(s => (16384L, new LinearShape(s.Item1, s.Item2)))],
            ["sweep"] = () => Grid([.. Powers(8, 15)], [.. Powers(8, 15)], [.. Powers(8, 15)]),
        };

    private static IEnumerable<long> Powers(int least, int most) => Enumerable.Range(least, most - least + 1).Select(p => 1L << p);

    private static (long, LinearShape) Cube(long side) => (side, new LinearShape(side, side));

    private static IReadOnlyList<(long, LinearShape)> Grid(long[] ms, long[] ks, long[] ns) =>
        [.. from m in ms from k in ks from n in ns select (m, new LinearShape(k, n))];
}
