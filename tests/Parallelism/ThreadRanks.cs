using System.Collections.Concurrent;
using Titan.Abstractions;
using Titan.Distributed;
using static TorchSharp.torch;

namespace Titan.Parallelism.Tests;

/// <summary>
/// Ranks as threads of this process: a parallelism's arithmetic is tested without processes and without MPI. Collectives are computed by whoever comes last, in rank order.
/// </summary>
internal sealed class ThreadRanks
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    private readonly ConcurrentDictionary<(string Group, long Sequence), Collective> collectives = [];
    private readonly ConcurrentDictionary<(string Group, int From, int To, int Tag), BlockingCollection<Tensor>> boxes = [];
    private readonly CancellationTokenSource failed = new();

    /// <summary>Runs <paramref name="body"/> once per rank, each on a thread of its own, and throws what the first failed with.</summary>
    /// <returns>What each rank returned, in rank order.</returns>
    public static T[] Run<T>(int size, Func<IProcessGroup, T> body) => Run(new ParallelDimensions(DataParallelShard: size), mesh => body(mesh.Group(MeshAxis.DataParallelShard)));

    /// <summary>The same over a mesh.</summary>
    public static T[] Run<T>(ParallelDimensions dimensions, Func<DeviceMesh, T> body)
    {
        var ranks = new ThreadRanks();
        var results = new T[dimensions.World];
        var errors = new ConcurrentQueue<Exception>();
        var threads = Enumerable.Range(0, dimensions.World).Select(rank => new Thread(() =>
        {
            try
            {
                results[rank] = body(new DeviceMesh(dimensions, rank,
                    (name, members) => new Group(ranks, name, $"{name}: {string.Join(',', members)}", members.ToList().IndexOf(rank), members.Count)));
            }
            catch (Exception e)
            {
                errors.Enqueue(e);
                ranks.failed.Cancel();
            }
        }, 64 << 20)).ToList();
        foreach (var thread in threads) thread.Start();
        foreach (var thread in threads) thread.Join();
        var first = errors.FirstOrDefault(e => e is not OperationCanceledException) ?? errors.FirstOrDefault();
        if (first is not null) throw new InvalidOperationException($"a rank failed: {first.Message}", first);
        return results;
    }

    /// <summary>A mesh of one process, with sizes of many: for what looks at the sizes, and gets no further than to ask its group who it is.</summary>
    public static DeviceMesh Alone(ParallelDimensions sizes) => new(sizes, 0, (name, _) => new SingleRankGroup(name));

    /// <summary>The mesh, each group along an axis as <paramref name="wrap"/> makes it.</summary>
    public static DeviceMesh Wrap(DeviceMesh mesh, Func<IProcessGroup, IProcessGroup> wrap) =>
        new(mesh.Sizes, mesh.Rank, (name, _) => wrap(mesh.Group(MeshAxes.All.Single(a => a.Name() == name))));

    private sealed class Group(ThreadRanks ranks, string name, string key, int rank, int size) : IProcessGroup
    {
        private long sequence;

        public string Name => name;

        public int Rank => rank;

        public int Size => size;

        public IWork AllGatherIntoTensorAsync(Tensor output, Tensor input) => Join("all_gather", output, input, all =>
        {
            foreach (var (to, _) in all)
                for (var r = 0; r < size; r++) Slice(to, r).copy_(all[r].Input.reshape(Slice(to, r).shape));
        });

        public IWork ReduceScatterTensorAsync(Tensor output, Tensor input) => Join("reduce_scatter", output, input, all =>
        {
            for (var r = 0; r < size; r++) all[r].Output.copy_(Sum(all.Select(a => Slice(a.Input, r))).reshape(all[r].Output.shape));
        });

        public IWork AllReduceAsync(Tensor tensor, ReduceOperation operation) => Join("all_reduce", tensor, tensor, all =>
        {
            var result = operation == ReduceOperation.Sum ? Sum(all.Select(a => a.Input))
                : all.Skip(1).Aggregate(all[0].Input.clone(), (a, b) => operation == ReduceOperation.Max ? maximum(a, b.Input) : minimum(a, b.Input));
            foreach (var (to, _) in all) to.copy_(result);
        });

        public IWork BroadcastAsync(Tensor tensor, int source) => Join("broadcast", tensor, tensor, all =>
        {
            for (var r = 0; r < size; r++) if (r != source) all[r].Output.copy_(all[source].Input);
        });

        public IWork AllToAllSingleAsync(Tensor output, Tensor input) => Join("all_to_all", output, input, all =>
        {
            for (var to = 0; to < size; to++)
                for (var from = 0; from < size; from++) Slice(all[to].Output, from).copy_(Slice(all[from].Input, to));
        });

        public IWork AllToAllSingleAsync(Tensor output, Tensor input, IReadOnlyList<long> outputSplits, IReadOnlyList<long> inputSplits)
        {
            Assert.Equal((output.shape[0], input.shape[0]), (outputSplits.Sum(), inputSplits.Sum()));
            return BatchSendReceiveAsync(
            [
                .. inputSplits.Select((rows, to) => PointToPoint.Send(input.narrow(0, inputSplits.Take(to).Sum(), rows), to, -1)),
                .. outputSplits.Select((rows, from) => PointToPoint.Receive(output.narrow(0, outputSplits.Take(from).Sum(), rows), from, -1)),
            ]);
        }

        public IWork BatchSendReceiveAsync(IReadOnlyList<PointToPoint> messages)
        {
            // A send leaves a copy, and waits for nobody.
            foreach (var sent in messages.Where(m => m.IsSend)) Box(rank, sent.Peer, sent.Tag).Add(sent.Tensor.detach().clone().DetachFromDisposeScope());
            return new CombinedWork([.. messages.Where(m => !m.IsSend).Select(m => new Receipt(Box(m.Peer, rank, m.Tag), m.Tensor.alias().DetachFromDisposeScope(), ranks.failed.Token))]);
        }

        private BlockingCollection<Tensor> Box(int from, int to, int tag) => ranks.boxes.GetOrAdd((key, from, to, tag), _ => []);

        public void Barrier() => Join("barrier", zeros(0), zeros(0), _ => { }).Wait();

        private Tensor Slice(Tensor x, int index) => x.reshape(size, -1)[index];

        private static Tensor Sum(IEnumerable<Tensor> parts) => parts.Skip(1).Aggregate(parts.First().clone(), (sum, part) => sum.add_(part));

        private Collective Join(string verb, Tensor output, Tensor input, Action<(Tensor Output, Tensor Input)[]> compute)
        {
            var collective = ranks.collectives.GetOrAdd((key, sequence++), _ => new Collective(size, ranks.failed.Token));
            collective.Arrive(verb, rank, output, input, compute);
            return collective;
        }
    }

    /// <summary>A message on its way to a tensor.</summary>
    private sealed class Receipt(BlockingCollection<Tensor> box, Tensor to, CancellationToken failed) : IWork
    {
        private bool done;

        public void Wait()
        {
            if (done) return;
            if (!box.TryTake(out var sent, (int)Patience.TotalMilliseconds, failed)) throw new TimeoutException("recv: nobody sent it");
            using (no_grad())
            using (NewDisposeScope()) to.copy_(sent);
            sent.Dispose();
            to.Dispose();
            done = true;
        }
    }

    private sealed class Collective(int size, CancellationToken failed) : IWork
    {
        private readonly (Tensor Output, Tensor Input)[] tensors = new (Tensor, Tensor)[size];
        private readonly ManualResetEventSlim done = new();
        private string? verb;
        private int arrived;

        public void Arrive(string called, int rank, Tensor output, Tensor input, Action<(Tensor, Tensor)[]> compute)
        {
            lock (tensors)
            {
                verb ??= called;
                if (verb != called) throw new InvalidOperationException($"rank {rank} called {called} where another called {verb}");
                // Aliases: the caller may drop its handles before the others come.
                tensors[rank] = (output.alias().DetachFromDisposeScope(), input.alias().DetachFromDisposeScope());
                if (++arrived < size) return;
                using (no_grad())
                using (NewDisposeScope()) compute(tensors);
                foreach (var (to, from) in tensors)
                {
                    to.Dispose();
                    from.Dispose();
                }
            }

            done.Set();
        }

        public void Wait()
        {
            if (!done.Wait(Patience, failed)) throw new TimeoutException($"{verb}: {size - arrived} rank(s) did not come");
        }
    }
}
