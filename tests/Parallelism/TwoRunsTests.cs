using Titan.Abstractions;

namespace Titan.Parallelism.Tests;

/// <summary>Exports keep nothing: two runs in one process, with the same objects of the plugins and taking turns step by step, are each to the bit what they are alone.</summary>
public sealed class TwoRunsTests
{
    private static readonly ParallelDimensions TwoRanks = new(DataParallelShard: 2), Four = new(2, 2);

    private static readonly TinyJob.Options
        Tensorwise = new() { Recipe = "tensorwise", Float8Gather = true, Precompute = true, Steps = 4 },
        Rowwise = new() { Recipe = "rowwise", Float8Gather = true, Reshard = false, Prefetch = false, Steps = 4 },
        Mx = new() { Recipe = "mxfp8_rceil", Float8Gather = true, Steps = 4, Checkpointing = Titan.Models.BlockCheckpointing.Full },
        Plain = new() { Steps = 4, Reshard = false };

    [Fact]
    public void Two_recipes_with_other_options_of_the_sharding() => Same(Tensorwise, TwoRanks, Rowwise, TwoRanks);

    [Fact]
    public void A_recipe_beside_none_on_another_mesh() => Same(Mx, TwoRanks, Plain, Four);

    [Fact]
    public void One_recipe_twice() => Same(Tensorwise, TwoRanks, Tensorwise with { Dimension = 128 }, TwoRanks);

    private static void Same(TinyJob.Options first, ParallelDimensions firstMesh, TinyJob.Options second, ParallelDimensions secondMesh)
    {
        var alone = new[] { TinyJob.Over(firstMesh, first, 8), TinyJob.Over(secondMesh, second, 8) };
        using var turns = new Turns(firstMesh.World, secondMesh.World);
        var together = new TinyJob.Result[2][];
        var threads = new[] { (first, firstMesh), (second, secondMesh) }
            .Select((run, i) => new Thread(() => together[i] = TinyJob.Over(run.Item2, run.Item1 with { Turn = step => turns.Run(i, step) }, 8))).ToList();
        threads.ForEach(t => t.Start());
        threads.ForEach(t => t.Join());
        Assert.Equal(2 * first.Steps, turns.Taken);
        foreach (var (expected, actual) in alone.Zip(together))
        {
            Assert.Equal(expected[0].Losses, actual[0].Losses);
            Assert.True(expected[0].Losses[^1] < expected[0].Losses[0]);
            foreach (var fqn in expected[0].Parameters.Keys) Assert.False(TinyJob.Whole(expected, fqn).ne(TinyJob.Whole(actual, fqn)).any().item<bool>(), fqn);
        }
    }

    /// <summary>Lets all ranks of one run take a step, then all of the other.</summary>
    private sealed class Turns(params int[] ranks) : IDisposable
    {
        private readonly SemaphoreSlim[] may = [new(ranks[0]), new(0)];
        private readonly int[] done = new int[2];

        public int Taken { get; private set; }

        public void Run(int run, Action step)
        {
            may[run].Wait();
            step();
            lock (may)
            {
                if (++done[run] < ranks[run]) return;
                done[run] = 0;
                Taken++;
                may[1 - run].Release(ranks[1 - run]);
            }
        }

        public void Dispose()
        {
            foreach (var one in may) one.Dispose();
        }
    }
}
