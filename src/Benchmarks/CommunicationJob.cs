using System.Globalization;
using Titan.Abstractions;
using Titan.Distributed;
using Titan.Training.Loop;
using Titan.Training.Models;
using Titan.Training.Parallel;
using static TorchSharp.torch;

namespace Titan.Benchmarks;

/// <summary>The collectives of a job's step: with weights in the compute dtype and, where a converter gives them a codec, in float8.</summary>
internal sealed class CommunicationJob
{
    private readonly MeasuredJob job;
    private readonly TrainingRanks ranks;
    private readonly TrainingDevice device;
    private readonly DistributedRuntime runtime;
    private readonly IReadOnlyList<(string Name, IReadOnlyList<StepCollectives> Collectives)> sets;

    private CommunicationJob(MeasuredJob job, DistributedRuntime runtime)
    {
        (this.job, this.runtime, device) = (job, runtime, TrainingDevice.Choose());
        var config = job.Config;
        ranks = TrainingRanks.Of(runtime, config, device.Device);
        var encoded = Of(true);
        // Equal where no weight has a codec.
        sets = encoded.GathersEncoded ? [("", StepCollectives.Of(Of(false).Step)), ("float8", StepCollectives.Of(encoded.Step))] : [("", StepCollectives.Of(encoded.Step))];

        PlannedModel Of(bool encodesWeights) => PlannedModel.Of(config, job.Models, job.WithFloat8Gathers ?? job.Converters, job.Parallelisms, ranks.Dimensions, encodesWeights);
    }

    /// <summary>Where the tensors lie that are sent.</summary>
    public Device Device => device.Device;

    /// <summary>Opens the job on every rank.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> for a single rank, which sends nothing.</exception>
    public static CommunicationJob Open(Func<MeasuredJob> job, DistributedRuntime runtime) => runtime.World > 1
        ? new CommunicationJob(job(), runtime)
        : throw new TitanException(ExitCode.Usage, "one rank sends nothing; start several: NGPU=4 TRAIN_COMMAND='bench communication' ./run_train.sh (docs/benchmarks.md)");

    /// <summary>Times every set.</summary>
    public IReadOnlyList<IReadOnlyList<CommunicationTime>> Measure(int repetitions, Action<string> progress) =>
        new CommunicationBench(ranks, device.Device, repetitions).Run([.. sets.Select(s => s.Collectives)], progress);

    /// <summary>Writes the page.</summary>
    public IReadOnlyList<string> Write(BenchmarkFile file, IReadOnlyList<IReadOnlyList<CommunicationTime>> measured, int repetitions)
    {
        var type = job.Config.Training.MixedPrecisionParam;
        var rows = new List<IReadOnlyList<string>>();
        foreach (var (set, times) in sets.Zip(measured))
        {
            foreach (var t in times)
            {
                var isGather = t is { Group: "dp_shard", Verb: CollectiveTraffic.AllGather };
                // What is no gather of weights is the same in both but for the amaxes.
                if (set.Name.Length > 0 && !isGather && !(t.Verb == CollectiveTraffic.AllReduce && t.Group == "dp_shard")) continue;
                rows.Add(
                [
                    t.Group, t.Verb, isGather ? set.Name.Length > 0 ? set.Name : type : "", $"{t.Size}", $"{t.Calls}", t.WireBytes.ToString("N0", CultureInfo.InvariantCulture),
                    BenchText.Milliseconds(t.Median), BenchText.Milliseconds(t.Seconds.Min()), BenchText.Digits(t.WireBytes / t.Median / 1e9),
                ]);
            }
        }

        var hosts = runtime.Hosts.Distinct().Count();
        return file.Write($"Communication of a step: {job.Config.Model.Name} {job.Config.Model.Flavor} on {runtime.World} ranks",
            $"{runtime.Library}, {hosts} host{(hosts == 1 ? "" : "s")}, tensors on {device.Device}; every call of a step by itself, after all ranks have come; median and least of {repetitions} steps",
            job.Plugins, [new BenchmarkTable("Collectives", ["group", "collective", "weights as", "ranks", "calls", "bytes sent", "ms", "least ms", "GB/s"], rows)],
            [.. Gain(measured), "GB/s: bytes that leave a rank by a ring, per second; 'titan plan --inter-bandwidth' and '--intra-bandwidth' take it."]);
    }

    private IEnumerable<string> Gain(IReadOnlyList<IReadOnlyList<CommunicationTime>> measured)
    {
        if (measured.Count < 2) yield break;
        CommunicationTime wide = Gather(measured[0]), narrow = Gather(measured[1]);
        yield return string.Create(CultureInfo.InvariantCulture,
            $"float8 gathers take {narrow.Median / wide.Median:F3} of the time of {job.Config.Training.MixedPrecisionParam} gathers, and send {(double)narrow.WireBytes / wide.WireBytes:F3} of the bytes.");

        static CommunicationTime Gather(IReadOnlyList<CommunicationTime> set) => set.First(t => t is { Group: "dp_shard", Verb: CollectiveTraffic.AllGather });
    }
}
