using System.Runtime.InteropServices;

namespace Titan.Distributed.Mpi;

/// <summary>
/// The constants in which the two families of MPI libraries differ. Handles are <c>nint</c> in both: Open MPI's are pointers, MPICH's are ints, which travel in the low half of a
/// register and are written into the low half of a zeroed <c>nint</c> (little endian).
/// </summary>
internal sealed record MpiAbi(
    string Name, nint CommWorld, nint Byte, nint ErrorsReturn, nint InfoNull, nint StatusIgnore, int CommTypeShared, int AnySource, int AnyTag, int StatusSource, int StatusTag)
{
    public static MpiAbi Of(nint library) => NativeLibrary.TryGetExport(library, "ompi_mpi_comm_world", out var world)
        ? new("Open MPI", world, NativeLibrary.GetExport(library, "ompi_mpi_byte"), NativeLibrary.GetExport(library, "ompi_mpi_errors_return"),
            NativeLibrary.GetExport(library, "ompi_mpi_info_null"), StatusIgnore: 0, CommTypeShared: 0, AnySource: -1, AnyTag: -1, StatusSource: 0, StatusTag: 4)
        : new("MPICH", 0x44000000, 0x4c00010d, 0x54000001, 0x1c000000, StatusIgnore: 1, CommTypeShared: 1, AnySource: -2, AnyTag: -1, StatusSource: 8, StatusTag: 12);
}
