namespace Titan.Host.Tests.Ranks;

/// <summary>
/// What some ranks saved, others load: the losses after it are those of the run that was not interrupted. In fp32: in bf16 another order of sums alone moves later losses by more
/// than the bound.
/// </summary>
[Collection(RankTests.Name)]
public sealed class SharedCheckpointTests(SharedCheckpointTests.Saved saved) : IClassFixture<SharedCheckpointTests.Saved>
{
    private static readonly string[] Checkpointing = ["--checkpoint.enable", "--checkpoint.interval", "4", "--checkpoint.no-last_save_model_only"];

    [TheoryWithTools("mpirun.openmpi")]
    [InlineData(4, 1, 4, 1, 1, 0)]
    [InlineData(4, 1, 1, 1, 1, 1e-4)]
    [InlineData(4, 1, 2, 1, 1, 1e-4)]
    [InlineData(4, 1, 2, 2, 1, 1e-4)]
    [InlineData(1, 1, 4, 1, 1, 1e-4)]
    [InlineData(4, 1, 2, 1, 2, 1e-4)]
    [InlineData(2, 2, 1, 1, 1, 1e-4)]
    public void What_some_ranks_saved_others_continue(int savedBy, int savedContexts, int ranks, int tensorParallel, int contextParallel, double bound)
    {
        var before = saved.By(savedBy, savedContexts);
        using var job = new RankJob { Ranks = ranks };
        Copy(before.Folder, job.Folder);
        var end = job.Run(Job(8, ranks / tensorParallel / contextParallel, "--parallelism.tensor_parallel_degree", $"{tensorParallel}", "--parallelism.context_parallel_degree", $"{contextParallel}"));
        Assert.True(end.ExitCode == 0, end.Output);
        Assert.Contains("Training starts at step 5", end.Output, StringComparison.Ordinal);
        Equal(new(before.Losses.Where(l => l.Key > 4).ToDictionary()), job.Losses(), bound);
    }

    private static string[] Job(int steps, int batchRanks, params string[] more) =>
        [.. RankJob.DebugModel(steps, batchRanks, [.. Checkpointing, "--training.mixed_precision_param", "float32", .. more]).Select(a => a == "debugmodel" ? "cpu_small" : a)];

    private static void Equal(SortedDictionary<int, double> expected, SortedDictionary<int, double> actual, double bound)
    {
        Assert.Equal(expected.Keys, actual.Keys);
        var differences = expected.Keys.Select(s => Math.Abs(actual[s] / expected[s] - 1)).ToList();
        Assert.True(differences.Max() <= bound, $"relative differences {string.Join(" ", differences.Select(d => $"{d:E1}"))}, allowed {bound:E0}");
    }

    /// <summary>The checkpoint of step 4, without the one after it and the losses.</summary>
    private static void Copy(string from, string to)
    {
        foreach (var file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories).Where(f => f.Contains("step-4", StringComparison.Ordinal)))
        {
            var target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
    }

    /// <summary>Runs of eight steps that were not interrupted, with the checkpoint of step 4.</summary>
    public sealed class Saved : IDisposable
    {
        private readonly Dictionary<(int Ranks, int Contexts), (RankJob Job, SortedDictionary<int, double> Losses)> runs = [];

        /// <inheritdoc />
        public void Dispose()
        {
            foreach (var (job, _) in runs.Values) job.Dispose();
        }

        internal (string Folder, SortedDictionary<int, double> Losses) By(int ranks, int contexts)
        {
            if (!runs.TryGetValue((ranks, contexts), out var run))
            {
                var job = new RankJob { Ranks = ranks };
                var end = job.Run(Job(8, ranks / contexts, "--parallelism.context_parallel_degree", $"{contexts}"));
                Assert.True(end.ExitCode == 0, end.Output);
                runs[(ranks, contexts)] = run = (job, job.Losses());
            }

            return (run.Job.Folder, run.Losses);
        }
    }
}
