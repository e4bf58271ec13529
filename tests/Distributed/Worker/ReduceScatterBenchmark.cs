using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Distributed.Worker;

/// <summary>bench-reduce-scatter [MB] [REPEATS]: this library's fp32 reduce-scatter beside MPI_Reduce_scatter_block of the same tensor, medians, in turns.</summary>
internal static unsafe class ReduceScatterBenchmark
{
    public static void Run(DistributedRuntime runtime, string[] arguments)
    {
        var megabytes = arguments.Length > 0 ? int.Parse(arguments[0], CultureInfo.InvariantCulture) : 64;
        var repeats = arguments.Length > 1 ? int.Parse(arguments[1], CultureInfo.InvariantCulture) : 15;
        if (runtime.Thread is not { } thread) throw new TitanException(ExitCode.Usage, "bench-reduce-scatter: start it on several ranks, for example under mpirun -np 2");
        var mpi = thread.Mpi;
        var open = NativeLibrary.TryGetExport(mpi.Handle, "ompi_mpi_float", out var number);
        var sum = open ? NativeLibrary.GetExport(mpi.Handle, "ompi_mpi_op_sum") : 0x58000003;
        if (!open) number = 0x4c00040a;
        var block = (delegate* unmanaged<void*, void*, int, nint, nint, nint, int>)NativeLibrary.GetExport(mpi.Handle, "MPI_Reduce_scatter_block");

        using var scope = NewDisposeScope();
        var (group, slice) = (runtime.WorldGroup, megabytes * 1_000_000L / 4 / runtime.World);
        var input = rand(slice * runtime.World);
        var (ours, theirs) = (zeros(slice), zeros(slice));
        using var from = TensorStorage.ToRead(input);
        using var to = TensorStorage.ToWrite(theirs);
        var times = new List<(double Ours, double Theirs)>();
        for (var i = 0; i < repeats + 2; i++)
        {
            group.Barrier();
            var start = Stopwatch.GetTimestamp();
            group.ReduceScatterTensor(ours, input);
            var first = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            group.Barrier();
            start = Stopwatch.GetTimestamp();
            thread.Run("MPI_Reduce_scatter_block", () => Scenarios.Expect(
                block((void*)from.Address, (void*)to.Address, (int)slice, number, sum, thread.WorldCommunicator.Handle) == 0, "MPI_Reduce_scatter_block"));
            if (i >= 2) times.Add((first, Stopwatch.GetElapsedTime(start).TotalMilliseconds));
        }

        Scenarios.Expect(ours.allclose(theirs), "both give the same sums");
        if (runtime.Rank != 0) return;
        var (mine, library) = (Median(times.Select(t => t.Ours)), Median(times.Select(t => t.Theirs)));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"reduce-scatter of {megabytes} MB fp32 on {runtime.World} ranks, {runtime.Library}: {mine:0.0} ms, MPI_Reduce_scatter_block {library:0.0} ms, {library / mine:0.00} times faster (medians of {repeats})"));
    }

    private static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted[sorted.Length / 2];
    }
}
