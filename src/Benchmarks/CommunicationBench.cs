using System.Diagnostics;
using Titan.Abstractions;
using Titan.Distributed;
using Titan.Training.Loop;
using Titan.Training.Parallel;
using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Benchmarks;

/// <summary>How long the collectives of a step take by themselves, with nothing computed between them and all ranks there.</summary>
/// <param name="Verb">c10d's name.</param>
/// <param name="Group">Name of the group.</param>
/// <param name="Size">Ranks of the group.</param>
/// <param name="Calls">In a step.</param>
/// <param name="WireBytes">What leaves this rank in a step by a ring.</param>
/// <param name="Seconds">A step's, one for each repetition.</param>
public sealed record CommunicationTime(string Verb, string Group, int Size, int Calls, long WireBytes, IReadOnlyList<double> Seconds)
{
    /// <summary>The median step.</summary>
    public double Median => Seconds.Order().ElementAt(Seconds.Count / 2);
}

/// <summary>Times what a job's ranks send each other in a step on the network that they are on. Every rank calls it with the same arguments.</summary>
/// <param name="ranks">The ranks.</param>
/// <param name="device">Where the tensors are.</param>
/// <param name="repetitions">Timed steps, after an untimed one.</param>
internal sealed class CommunicationBench(TrainingRanks ranks, Device device, int repetitions)
{
    /// <summary>Times some sets of collectives, which take turns so that a slow moment meets all of them.</summary>
    public IReadOnlyList<IReadOnlyList<CommunicationTime>> Run(IReadOnlyList<IReadOnlyList<StepCollectives>> sets, Action<string> progress)
    {
        var seconds = sets.Select(s => s.Select(_ => new List<double>()).ToList()).ToList();
        for (var repetition = 0; repetition <= repetitions; repetition++)
        {
            progress(repetition == 0 ? "warming up" : $"step {repetition} of {repetitions}");
            foreach (var (set, times) in sets.Zip(seconds))
                foreach (var (collectives, list) in set.Zip(times))
                {
                    var step = collectives.Calls.Sum(call => Time(collectives, call));
                    if (repetition > 0) list.Add(step);
                }
        }

        return [.. sets.Zip(seconds, (set, times) => (IReadOnlyList<CommunicationTime>)[.. set.Zip(times, Result)])];
    }

    private CommunicationTime Result(StepCollectives collectives, IReadOnlyList<double> seconds)
    {
        var group = Group(collectives);
        var bytes = collectives.Calls.Sum(c => c.Sum());
        var sent = collectives.Verb == CollectiveTraffic.AllReduce ? 2 * bytes * (group.Size - 1) / group.Size : bytes * (group.Size - 1);
        return new CommunicationTime(collectives.Verb, group.Name, group.Size, collectives.Calls.Count, sent, seconds);
    }

    private double Time(StepCollectives collectives, IReadOnlyList<long> call)
    {
        using var scope = NewDisposeScope();
        using var none = no_grad();
        var group = Group(collectives);
        // Only sums care what the bytes are.
        var type = collectives.Verb is CollectiveTraffic.AllGather or CollectiveTraffic.AllToAll ? ScalarType.Byte : ScalarType.Float32;
        var width = type == ScalarType.Byte ? 1 : 4;
        Tensor[] own = [.. call.Select(b => zeros(b / width, dtype: type, device: device))];
        Tensor[] whole = collectives.Verb == CollectiveTraffic.AllReduce ? [] : [.. call.Select(b => zeros(b / width * group.Size, dtype: type, device: device))];
        // An all-to-all sends as much as it receives; made here, not while the clock runs.
        var given = collectives.Verb == CollectiveTraffic.AllToAll ? zeros_like(whole[0]) : null;
        Synchronize();
        ranks.World.Barrier();
        var start = Stopwatch.GetTimestamp();
        switch (collectives.Verb)
        {
            case CollectiveTraffic.AllGather: group.AllGatherIntoTensorCoalescedAsync(whole, own).Wait(); break;
            case CollectiveTraffic.ReduceScatter: group.ReduceScatterTensorCoalescedAsync(own, whole).Wait(); break;
            case CollectiveTraffic.AllToAll: group.AllToAllSingleAsync(whole[0], given!).Wait(); break;
            default: group.AllReduceAsync(own[0], ReduceOperation.Sum).Wait(); break;
        }

        Synchronize();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private IProcessGroup Group(StepCollectives collectives) => MeshAxes.All.Select(ranks.Mesh.Over).First(g => g.Name == collectives.Group);

    private void Synchronize()
    {
        if (device.type == DeviceType.CUDA) cuda.synchronize(device);
    }
}
