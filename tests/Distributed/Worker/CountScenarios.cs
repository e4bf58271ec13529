using Titan.Abstractions;
using Titan.Distributed.Collectives;
using static TorchSharp.torch;

namespace Titan.Distributed.Worker;

internal static class CountScenarios
{
    public static void Bytes(DistributedRuntime runtime, string[] arguments)
    {
        using var scope = NewDisposeScope();
        var (group, n) = (runtime.WorldGroup, runtime.World);
        runtime.Counter.Take();
        group.AllGatherIntoTensor(zeros(100 * n), zeros(100));
        group.AllGatherIntoTensor(zeros(100 * n).to(Float8Format.E4M3.Type), zeros(100).to(Float8Format.E4M3.Type));
        group.ReduceScatterTensor(zeros(10), zeros(10 * n));
        group.AllReduce(zeros(n), ReduceOperation.Sum);
        group.Broadcast(zeros(n), 0);
        group.AllToAllSingle(zeros(n), zeros(n));
        group.Barrier();
        var totals = runtime.Counter.Take();
        (string Verb, long Calls, long Payload, long Wire)[] expected =
        [
            ("all_gather_into_tensor", 2, 500 * n, 500 * (n - 1)), ("reduce_scatter_tensor", 1, 40 * n, 40 * (n - 1)), ("all_reduce", 1, 4 * n, 8 * (n - 1)),
            ("broadcast", 1, 4 * n, 4 * (n - 1)), ("all_to_all_single", 1, 4 * n, 4 * (n - 1)), ("barrier", 1, 0, 0),
        ];
        Scenarios.Expect(totals.Counts.Select(c => (c.Verb, c.Calls, c.PayloadBytes, c.WireBytes)).SequenceEqual(expected), string.Join("; ", totals.Counts));
        Scenarios.Expect(totals.Counts.All(c => c.Group == "world"), "the group's name");
        Scenarios.Expect(totals.WireBytes == expected.Sum(e => e.Wire), "the sum");
        Scenarios.Expect(totals is { CollectiveSeconds: > 0, WaitSeconds: > 0 }, $"{totals.CollectiveSeconds} s in collectives, {totals.WaitSeconds} s of waiting");
        Scenarios.Expect(runtime.Counter.Take() is { Counts.Count: 0, CollectiveSeconds: 0 }, "nothing is counted twice");
    }
}
