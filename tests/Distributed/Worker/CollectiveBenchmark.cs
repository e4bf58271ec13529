using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Titan.Abstractions;
using Titan.Distributed.Collectives;
using Titan.Distributed.Mpi;
using static TorchSharp.torch;

namespace Titan.Distributed.Worker;

/// <summary>bench-reduce-scatter, bench-all-gather, bench-all-reduce [MB] [REPEATS]: this library's collective beside MPI's own blocking one on the same fp32 tensors, in turns.</summary>
internal static unsafe class CollectiveBenchmark
{
    public static void ReduceScatter(DistributedRuntime runtime, string[] arguments) => Compare(runtime, arguments, "reduce-scatter", "MPI_Reduce_scatter_block", outputs: false,
        (group, output, input) => group.ReduceScatterTensor(output, input),
        (mpi, output, input, comm) => ((delegate* unmanaged<nint, nint, int, nint, nint, nint, int>)NativeLibrary.GetExport(mpi.Handle, "MPI_Reduce_scatter_block"))(
            input.Address, output.Address, (int)output.Elements, Float(mpi), Sum(mpi), comm));

    public static void AllGather(DistributedRuntime runtime, string[] arguments) => Compare(runtime, arguments, "all-gather", "MPI_Allgather", outputs: true,
        (group, output, input) => group.AllGatherIntoTensor(output, input),
        (mpi, output, input, comm) => ((delegate* unmanaged<nint, int, nint, nint, int, nint, nint, int>)NativeLibrary.GetExport(mpi.Handle, "MPI_Allgather"))(
            input.Address, (int)input.Elements, Float(mpi), output.Address, (int)input.Elements, Float(mpi), comm));

    public static void AllReduce(DistributedRuntime runtime, string[] arguments) => Compare(runtime, arguments, "all-reduce", "MPI_Allreduce", outputs: null,
        (group, output, _) => group.AllReduce(output, ReduceOperation.Sum),
        (mpi, output, input, comm) => ((delegate* unmanaged<nint, nint, int, nint, nint, nint, int>)NativeLibrary.GetExport(mpi.Handle, "MPI_Allreduce"))(
            input.Address, output.Address, (int)output.Elements, Float(mpi), Sum(mpi), comm));

    private static void Compare(
        DistributedRuntime runtime, string[] arguments, string verb, string function, bool? outputs, Action<IProcessGroup, Tensor, Tensor> ours,
        Func<MpiLibrary, TensorStorage, TensorStorage, nint, int> theirs)
    {
        if (runtime.Thread is not { } thread) throw new TitanException(ExitCode.Usage, "start it on several ranks, for example under mpirun -np 2");
        var megabytes = arguments.Length > 0 ? double.Parse(arguments[0], CultureInfo.InvariantCulture) : 64;
        var repeats = arguments.Length > 1 ? int.Parse(arguments[1], CultureInfo.InvariantCulture) : 15;
        using var scope = NewDisposeScope();
        var (group, slice) = (runtime.WorldGroup, (long)(megabytes * 1e6 / 4) / runtime.World);
        var all = slice * runtime.World;
        var input = rand(outputs == true ? slice : all);
        var (mine, library) = (zeros(outputs == false ? slice : all), zeros(outputs == false ? slice : all));
        using var from = TensorStorage.ToRead(input);
        using var to = TensorStorage.ToWrite(library);
        var times = new List<(double Ours, double Theirs)>();
        for (var i = 0; i < repeats + 2; i++)
        {
            if (outputs is null) mine.copy_(input);
            group.Barrier();
            var start = Stopwatch.GetTimestamp();
            ours(group, mine, input);
            var first = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            group.Barrier();
            start = Stopwatch.GetTimestamp();
            thread.Run(function, () => Scenarios.Expect(theirs(thread.Mpi, to, from, thread.WorldCommunicator.Handle) == 0, function));
            if (i >= 2) times.Add((first, Stopwatch.GetElapsedTime(start).TotalMilliseconds));
        }

        Scenarios.Expect(mine.allclose(library), "both give the same values");
        if (runtime.Rank != 0) return;
        var (a, b) = (Median(times.Select(t => t.Ours)), Median(times.Select(t => t.Theirs)));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{verb} of {megabytes} MB fp32 on {runtime.World} ranks, {runtime.Library}: {a:0.00} ms, {function} {b:0.00} ms: {b / a:0.00} times as fast (medians of {repeats})"));
    }

    private static nint Float(MpiLibrary mpi) => NativeLibrary.TryGetExport(mpi.Handle, "ompi_mpi_float", out var type) ? type : 0x4c00040a;

    private static nint Sum(MpiLibrary mpi) => NativeLibrary.TryGetExport(mpi.Handle, "ompi_mpi_op_sum", out var operation) ? operation : 0x58000003;

    private static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted[sorted.Length / 2];
    }
}
