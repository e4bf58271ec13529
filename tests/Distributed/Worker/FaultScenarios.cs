using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Distributed.Worker;

/// <summary>What goes wrong in one rank while the others wait for it. The last rank is the culprit.</summary>
internal static class FaultScenarios
{
    private const int Stopped = 19;

    /// <summary>A process that no launcher started needs no MPI.</summary>
    public static void NoLibrary(DistributedRuntime runtime, string[] arguments)
    {
        Scenarios.Expect(runtime is { Rank: 0, World: 1, LocalRank: 0, LocalSize: 1, Library: "none" }, "rank 0 of 1");
        Scenarios.Expect(runtime.CreateMesh(new ParallelDimensions(), CPU).Loss is SingleRankGroup, "a group of one rank");
        Scenarios.Expect(!File.ReadLines("/proc/self/maps").Any(l => l.Contains("libmpi", StringComparison.Ordinal)), "no MPI library in the process");
    }

    public static void NullReference(DistributedRuntime runtime, string[] arguments)
    {
        runtime.WorldGroup.Barrier();
        try
        {
            Length(null!);
        }
        catch (NullReferenceException)
        {
            runtime.WorldGroup.Barrier();
            return;
        }

        throw new InvalidOperationException("no NullReferenceException");
    }

    public static void OneThrows(DistributedRuntime runtime, string[] arguments)
    {
        runtime.WorldGroup.Barrier();
        if (Culprit(runtime)) throw new TitanException(ExitCode.Data, "the checkpoint is unreadable");
        runtime.WorldGroup.Barrier();
    }

    public static void ShapesDiffer(DistributedRuntime runtime, string[] arguments)
    {
        var n = Culprit(runtime) ? 20 : 10;
        runtime.WorldGroup.AllGatherIntoTensor(zeros(n * runtime.World), zeros(n));
    }

    public static void VerbsDiffer(DistributedRuntime runtime, string[] arguments)
    {
        if (Culprit(runtime)) runtime.WorldGroup.AllReduce(zeros(8), ReduceOperation.Max);
        else runtime.WorldGroup.Broadcast(zeros(8), 0);
    }

    public static void OneIsLate(DistributedRuntime runtime, string[] arguments)
    {
        runtime.WorldGroup.Barrier();
        runtime.SetTimeout(TimeSpan.FromSeconds(30));
        if (Culprit(runtime)) Thread.Sleep(2000);
        var before = Process.GetCurrentProcess().TotalProcessorTime;
        var x = ones(1000);
        runtime.WorldGroup.AllReduce(x, ReduceOperation.Sum);
        Scenarios.Expect(x[0].item<float>() == runtime.World, "the sum");
        var used = Process.GetCurrentProcess().TotalProcessorTime - before;
        Scenarios.Expect(used < TimeSpan.FromSeconds(1), $"waiting takes no processor time, but {used.TotalSeconds} s were used");
    }

    /// <summary>So late that the others have asked where it is, but not too late.</summary>
    public static void OneIsLateAndAsked(DistributedRuntime runtime, string[] arguments)
    {
        runtime.WorldGroup.Barrier();
        runtime.SetTimeout(TimeSpan.FromSeconds(12));
        if (Culprit(runtime)) Thread.Sleep(9300);
        runtime.WorldGroup.AllReduce(ones(10), ReduceOperation.Sum);
    }

    public static void OneIsKilled(DistributedRuntime runtime, string[] arguments)
    {
        runtime.WorldGroup.Barrier();
        if (Culprit(runtime)) Process.GetCurrentProcess().Kill();
        runtime.WorldGroup.AllReduce(zeros(100), ReduceOperation.Sum);
    }

    public static void OneNeverCalls(DistributedRuntime runtime, string[] arguments)
    {
        runtime.WorldGroup.Barrier();
        if (Culprit(runtime)) Thread.Sleep(Timeout.Infinite);
        runtime.WorldGroup.AllGatherIntoTensor(zeros(1000 * runtime.World), zeros(1000));
    }

    /// <summary>Not even its communication thread runs.</summary>
    public static void OneIsStopped(DistributedRuntime runtime, string[] arguments)
    {
        runtime.WorldGroup.Barrier();
        if (Culprit(runtime))
        {
            _ = Kill(Environment.ProcessId, Stopped);
            Thread.Sleep(Timeout.Infinite);
        }

        runtime.WorldGroup.AllGatherIntoTensor(zeros(1000 * runtime.World), zeros(1000));
    }

    /// <summary>4 ranks, 2 x 2: rank 3 never comes; rank 2 waits for it in tp, rank 0 for rank 2 in dp_shard.</summary>
    public static void OneWaitsElsewhere(DistributedRuntime runtime, string[] arguments)
    {
        var mesh = runtime.CreateMesh(new ParallelDimensions(DataParallelShard: 2, TensorParallel: 2), CPU);
        if (runtime.Rank == 3) Thread.Sleep(Timeout.Infinite);
        if (runtime.Rank == 2)
        {
            runtime.SetTimeout(TimeSpan.FromSeconds(60));
            mesh.Group(MeshAxis.TensorParallel).Barrier();
        }

        if (runtime.Rank == 1) Thread.Sleep(Timeout.Infinite);
        mesh.Group(MeshAxis.DataParallelShard).Barrier();
    }

    /// <summary>Collectives until something happens: a link that goes down, a signal.</summary>
    public static void Endless(DistributedRuntime runtime, string[] arguments)
    {
        for (; ; Thread.Sleep(10)) runtime.WorldGroup.AllReduce(ones(10), ReduceOperation.Sum);
    }

    /// <summary>After the verified calls: the watchdog finds it.</summary>
    public static void VerbsDifferUnverified(DistributedRuntime runtime, string[] arguments)
    {
        for (var i = 0; i < 1000; i++) runtime.WorldGroup.Barrier();
        if (Culprit(runtime)) runtime.WorldGroup.Barrier();
        else runtime.WorldGroup.AllReduce(zeros(8), ReduceOperation.Max);
    }

    private static bool Culprit(DistributedRuntime runtime) => runtime.Rank == runtime.World - 1;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Length(string text) => text.Length;

    [DllImport("libc", EntryPoint = "kill")]
    private static extern int Kill(int process, int signal);
}
