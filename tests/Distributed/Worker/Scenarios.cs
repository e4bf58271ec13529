using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Distributed.Worker;

/// <summary>What a rank can be asked to do.</summary>
internal static class Scenarios
{
    public static IReadOnlyDictionary<string, Action<DistributedRuntime, string[]>> All { get; } = new Dictionary<string, Action<DistributedRuntime, string[]>>
    {
        ["verbs"] = VerbScenarios.AgainstTheOracle,
        ["pieces"] = VerbScenarios.InPieces,
        ["coalesced"] = VerbScenarios.Coalesced,
        ["alone"] = FaultScenarios.NoLibrary,
        ["order"] = VerbScenarios.AsynchronousOrder,
        ["deterministic"] = VerbScenarios.SumsInRankOrder,
        ["nan"] = VerbScenarios.NaNWins,
        ["brain"] = VerbScenarios.BrainSums,
        ["disposed"] = VerbScenarios.TensorsOutliveTheirHandles,
        ["refusals"] = VerbScenarios.Refusals,
        ["counts"] = CountScenarios.Bytes,
        ["uneven"] = MessageScenarios.UnevenSplits,
        ["uneven-pieces"] = MessageScenarios.InPieces,
        ["ring"] = MessageScenarios.Ring,
        ["pairs"] = MessageScenarios.Pairs,
        ["message-counts"] = MessageScenarios.Counts,
        ["message-refusals"] = MessageScenarios.Refusals,
        ["mismatch-splits"] = MessageScenarios.SplitsDiffer,
        ["mismatch-message"] = MessageScenarios.MessagesDiffer,
        ["hang-message"] = MessageScenarios.NobodySends,
        ["mesh"] = MeshScenarios.SubGroups,
        ["mesh-wrong"] = (r, _) => r.CreateMesh(new ParallelDimensions(DataParallelShard: r.World + 1), CPU),
        ["agree"] = AgreementScenarios.Alike,
        ["disagree"] = AgreementScenarios.OneDiffers,
        ["null-reference"] = FaultScenarios.NullReference,
        ["throw"] = FaultScenarios.OneThrows,
        ["mismatch"] = FaultScenarios.ShapesDiffer,
        ["mismatch-verb"] = FaultScenarios.VerbsDiffer,
        ["late"] = FaultScenarios.OneIsLate,
        ["late-asked"] = FaultScenarios.OneIsLateAndAsked,
        ["kill"] = FaultScenarios.OneIsKilled,
        ["hang"] = FaultScenarios.OneNeverCalls,
        ["hang-stop"] = FaultScenarios.OneIsStopped,
        ["hang-other-group"] = FaultScenarios.OneWaitsElsewhere,
        ["hang-endless"] = FaultScenarios.Endless,
        ["hang-late-mismatch"] = FaultScenarios.VerbsDifferUnverified,
        ["bench-reduce-scatter"] = CollectiveBenchmark.ReduceScatter,
        ["bench-all-gather"] = CollectiveBenchmark.AllGather,
        ["bench-all-reduce"] = CollectiveBenchmark.AllReduce,
    };

    /// <summary>Ends the scenario with what was not as expected.</summary>
    public static void Expect(bool condition, string what)
    {
        if (!condition) throw new InvalidOperationException($"not as expected: {what}");
    }
}
