using System.Runtime.InteropServices;
using Titan.Abstractions;
using Titan.Distributed.Launch;

namespace Titan.Distributed.Mpi;

/// <summary>Finds the MPI library of the launcher that started this process.</summary>
internal static class MpiLocation
{
    private const string Packages = "install 'openmpi-bin libopenmpi3' (Open MPI) or 'mpich' (MPICH) on Debian or Ubuntu, or set MPI_LIBRARY to the library of the launcher";

    public static nint Load(Launcher launcher, string? library)
    {
        if (!string.IsNullOrEmpty(library))
        {
            if (NativeLibrary.TryLoad(library, out var chosen)) return chosen;
            throw new TitanException(ExitCode.Usage, $"MPI_LIBRARY = {library}: no such library, or the loader refuses it; {Packages}");
        }

        string[] open = ["libmpi.so.40"], mpich = ["libmpich.so.12", "libmpi.so.12"];
        string[] names = launcher is Launcher.Pmi ? [.. mpich, .. open] : launcher is Launcher.OpenMpi ? open : [.. open, .. mpich];
        foreach (var name in names)
            if (NativeLibrary.TryLoad(name, out var found)) return found;
        throw new TitanException(ExitCode.Hardware, $"started as a rank of several, but no MPI library was found (tried {string.Join(", ", names)}): {Packages}");
    }
}
