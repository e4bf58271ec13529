using TorchSharp;

namespace Titan.Kernels.Simd;

/// <summary>
/// Splits work over threads, where there is enough of it: starting a second thread costs as much as half a million elements of these kernels. Over as many as libtorch uses:
/// the ranks of a machine share its cores.
/// </summary>
internal static class Parts
{
    private const long ElementsPerThread = 1 << 19;

    /// <summary>How many parts so many units of work, for example rows, make.</summary>
    /// <param name="units">How many units there are.</param>
    /// <param name="elements">Elements in a unit.</param>
    public static int Count(long units, long elements) =>
        (int)Math.Clamp(units * elements / ElementsPerThread, 1, Math.Min(Math.Min(torch.get_num_threads(), Environment.ProcessorCount), Math.Max(1, units)));

    /// <summary>Calls <paramref name="part"/> with (index of the part, first unit, number of units).</summary>
    /// <param name="units">How many units there are.</param>
    /// <param name="elements">Elements in a unit.</param>
    /// <param name="part">The work.</param>
    public static void Split(long units, long elements, Action<int, long, long> part) => Run(Count(units, elements), units, part);

    /// <summary>The same in a given number of parts, of which the last may have nothing to do.</summary>
    /// <param name="parts">From <see cref="Count"/>.</param>
    /// <param name="units">How many units there are.</param>
    /// <param name="part">The work.</param>
    public static void Run(int parts, long units, Action<int, long, long> part)
    {
        if (parts == 1)
        {
            part(0, 0, units);
            return;
        }

        var length = (units + parts - 1) / parts;
        Parallel.For(0, parts, index =>
        {
            var start = index * length;
            if (start < units) part(index, start, Math.Min(length, units - start));
        });
    }
}
