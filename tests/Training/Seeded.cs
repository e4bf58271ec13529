using CsCheck;

namespace Titan.Training.Tests;

/// <summary>Samples that are the same in every run.</summary>
internal static class Seeded
{
    /// <summary>Checks a number of samples, and names the one that fails.</summary>
    public static void Each<T>(this Gen<T> gen, int count, Action<T> check, uint seed = 1)
    {
        var random = new PCG(seed);
        for (var i = 0; i < count; i++)
        {
            var sample = gen.Generate(random, null, out _);
            try
            {
                check(sample);
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"sample {i} of seed {seed}, {Check.Print(sample)}: {e.Message}", e);
            }
        }
    }
}
