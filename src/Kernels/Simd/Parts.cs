using TorchSharp;

namespace Titan.Kernels.Simd;

/// <summary>
/// Splits work over threads, where there is enough of it: starting a second thread costs as much as half a million elements of these kernels. Over as many as libtorch uses:
/// the ranks of a machine share its cores.
/// </summary>
internal static class Parts
{
    private const long ElementsPerThread = 1 << 19;

    /// <summary>Calls <paramref name="part"/> with (index of the part, first unit, number of units); a unit, for example a row, has so many elements.</summary>
    /// <param name="units">How many units there are.</param>
    /// <param name="elements">Elements in a unit.</param>
    /// <param name="part">The work.</param>
    public static void Split(long units, long elements, Action<int, long, long> part)
    {
        var threads = (int)Math.Clamp(units * elements / ElementsPerThread, 1, Math.Min(Math.Min(torch.get_num_threads(), Environment.ProcessorCount), Math.Max(1, units)));
        if (threads == 1)
        {
            part(0, 0, units);
            return;
        }

        var length = (units + threads - 1) / threads;
        Parallel.For(0, threads, index =>
        {
            var start = index * length;
            if (start < units) part(index, start, Math.Min(length, units - start));
        });
    }
}
