using System.Globalization;
using System.Text.RegularExpressions;

namespace Titan.Host.Tests.Ranks;

/// <summary>Ranks write a Hugging Face folder together, and start from one: each reads its share, and trains as one rank does.</summary>
[Collection(RankTests.Name)]
public sealed partial class HuggingFaceRanksTests(HuggingFaceRanksTests.OfOneRank one) : IClassFixture<HuggingFaceRanksTests.OfOneRank>
{
    [TheoryWithTools("mpirun.openmpi")]
    [InlineData(2, 1, false)]
    [InlineData(4, 1, false)]
    [InlineData(4, 2, false)]
    [InlineData(2, 2, false)]
    [InlineData(2, 1, true)]
    public void Ranks_start_from_a_folder_and_each_reads_its_share(int ranks, int tensorParallel, bool isFloat8)
    {
        using var job = new RankJob { Ranks = ranks, Environment = { ["LOG_RANK"] = string.Join(',', Enumerable.Range(0, ranks)) } };
        string[] converters = isFloat8 ? ["--model.converters", "quantize.linear.float8", "--quantize.linear.float8.emulate", "--quantize.linear.float8.enable_fsdp_float8_all_gather", "--quantize.linear.float8.filter_fqns", "output"] : [];
        var end = job.Run(OfOneRank.Job(ranks / tensorParallel, ["--checkpoint.initial_load_in_hf", "--checkpoint.initial_load_path", one.Step(2), "--parallelism.tensor_parallel_degree", $"{tensorParallel}", .. converters]));
        Assert.True(end.ExitCode == 0, end.Output);
        var read = Read().Matches(end.Output).Select(m => double.Parse(m.Groups[1].Value.Replace(",", "", StringComparison.Ordinal), CultureInfo.InvariantCulture) * 1e6).ToList();
        var held = Held().Matches(end.Output).Select(m => double.Parse(m.Groups[1].Value.Replace(",", "", StringComparison.Ordinal), CultureInfo.InvariantCulture) * 4).ToList();
        Assert.Equal((ranks, ranks), (read.Count, held.Count));
        Assert.True(read.Max() <= 1.05 * held.Max() && read.Sum() <= 1.05 * held.Sum(), end.Output);
        if (isFloat8) return;
        // One rank of the same weights has these losses: in fp32, and in micro-batches of its own.
        foreach (var (step, loss) in job.Losses()) Assert.True(Math.Abs(loss / one.Losses[step] - 1) <= (tensorParallel == 1 ? 1e-6 : 1e-4), $"step {step}: {loss}, one rank has {one.Losses[step]}");
    }

    [TheoryWithTools("mpirun.openmpi")]
    [InlineData(4, 1)]
    [InlineData(4, 2)]
    public void Ranks_write_one_folder_together(int ranks, int tensorParallel)
    {
        using var job = new RankJob { Ranks = ranks };
        var end = job.Run(OfOneRank.Job(ranks / tensorParallel, ["--checkpoint.initial_load_in_hf", "--checkpoint.initial_load_path", one.Step(2), "--checkpoint.last_save_in_hf", "--optimizer.lr", "0", "--lr_scheduler.min_lr_factor", "0", "--parallelism.tensor_parallel_degree", $"{tensorParallel}"]));
        Assert.True(end.ExitCode == 0, end.Output);
        // With a learning rate of 0 the weights are what was loaded.
        Assert.Equal(File.ReadAllBytes(Path.Combine(one.Step(2), "model.safetensors")), File.ReadAllBytes(Path.Combine(job.Folder, "checkpoint", "step-2", "model.safetensors")));
    }

    [FactWithTools("mpirun.openmpi")]
    public void A_folder_that_does_not_fit_is_refused_once_for_all_ranks()
    {
        using var job = new RankJob { Ranks = 2 };
        var end = job.Run([.. OfOneRank.Job(2, ["--checkpoint.initial_load_in_hf", "--checkpoint.initial_load_path", one.Step(2)]).Select(a => a == "cpu_small" ? "debugmodel" : a)]);
        Assert.Equal(5, end.ExitCode);
        Assert.Contains("config.json: num_hidden_layers is 4, expected 6", end.Output, StringComparison.Ordinal);
    }

    [GeneratedRegex(@"\(([0-9,.]+) of [0-9,.]+ MB read\)")]
    private static partial Regex Read();

    [GeneratedRegex(@"This rank holds ([0-9,]+) of")]
    private static partial Regex Held();

    /// <summary>A run of one rank that leaves a folder, and one that starts from it.</summary>
    public sealed class OfOneRank : IDisposable
    {
        private readonly RankJob first = new() { Ranks = 1 }, second = new() { Ranks = 1 };

        /// <summary>Trains both.</summary>
        public OfOneRank()
        {
            var end = first.Run(Job(1, ["--checkpoint.last_save_in_hf"]));
            Assert.True(end.ExitCode == 0, end.Output);
            end = second.Run(Job(1, ["--checkpoint.initial_load_in_hf", "--checkpoint.initial_load_path", Step(2)]));
            Assert.True(end.ExitCode == 0, end.Output);
            Losses = second.Losses();
        }

        internal SortedDictionary<int, double> Losses { get; }

        internal string Step(int step) => Path.Combine(first.Folder, "checkpoint", $"step-{step}");

        internal static string[] Job(int batchRanks, string[] more) =>
            [.. RankJob.DebugModel(2, batchRanks, ["--checkpoint.enable", "--training.mixed_precision_param", "float32", .. more]).Select(a => a == "debugmodel" ? "cpu_small" : a)];

        /// <inheritdoc />
        public void Dispose()
        {
            first.Dispose();
            second.Dispose();
        }
    }
}
