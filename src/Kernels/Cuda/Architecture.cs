using Titan.Abstractions;

namespace Titan.Kernels.Cuda;

/// <summary>What to compile for.</summary>
public static class Architecture
{
    /// <summary>
    /// The device's own architecture where the compiler knows it, otherwise PTX for the newest older one, which the driver translates: a new GPU runs with an older compiler.
    /// </summary>
    /// <param name="device">Compute capability times ten: 90 for 9.0.</param>
    /// <param name="known">What the compiler knows.</param>
    public static string Choose(int device, IReadOnlyList<int> known)
    {
        if (known.Contains(device)) return $"sm_{device}";
        var older = known.Where(a => a < device).DefaultIfEmpty(0).Max();
        if (older == 0)
            throw new TitanException(
                ExitCode.Hardware,
                $"the CUDA compiler knows no architecture up to this GPU's {device / 10}.{device % 10} (it knows {string.Join(", ", known)}); use an older CUDA toolkit or a newer GPU");
        return $"compute_{older}";
    }
}
