using static Titan.Host.Tests.Ranks.Wire;

namespace Titan.Host.Tests.Ranks;

/// <summary>Two processes that share the sequences of the debug model, against one that has them whole; what they count on the wire is what was planned, and what was computed by hand.</summary>
[Collection(RankTests.Name)]
public sealed class ContextParallelTests
{
    private const long Weights = 4 * (524_288 + 524_544 + 12 * (851_968 + 512)), Gradients = 4 * 6_163_712;

    // A rank's half of four sequences of 64 tokens, with keys and values of 256 each, in fp32.
    private const long Own = 4 * 32 * 2 * 256 * 4;

    private static readonly string[] Job = [.. Recipe("fp32"), "--validation.enable", "--validation.steps=2", "--validation.freq=2", "--validation.seq_len=64"];

    [FactWithTools("mpirun.openmpi")]
    public void Ranks_that_share_sequences_train_and_validate_as_one_rank_does()
    {
        var (one, before) = RankJob.Train(3, 1, 1, Job);
        foreach (var (method, checkpointing) in new[] { ("allgather", "none"), ("alltoall", "full") })
        {
            var (many, output) = RankJob.Train(3, 2, 1, [.. Job, "--parallelism.context_parallel_degree=2", $"--parallelism.context_parallel_rotate_method={method}", $"--activation_checkpoint.mode={checkpointing}"]);
            Assert.Equal(one.Keys, many.Keys);
            foreach (var step in one.Keys) Assert.Equal(one[step], many[step], 1e-5 * one[step]);
            Assert.Equal(Validation(before), Validation(output), 1e-4);
            Assert.Contains(AsComputed, output, StringComparison.Ordinal);
            var counted = Counted(output);
            // Weights are shared out over the same ranks: 14 gathers and 8 scatters.
            if (method == "allgather")
            {
                Assert.Equal((14 + 12, Weights + 12 * 2 * Own), counted["cp all_gather_into_tensor"]);
                Assert.Equal((8 + 6, Gradients + 6 * 2 * Own), counted["cp reduce_scatter_tensor"]);
            }
            else
            {
                // Keys and values a step, in forward, again, and in backward; their gradients two.
                Assert.Equal((6 * (3 + 2), 6 * (3 + 2) * Own), counted["cp batch_isend_irecv"]);
                Assert.Equal((14, Weights), counted["cp all_gather_into_tensor"]);
            }
        }
    }

    [FactWithTools("mpirun.openmpi")]
    public void A_model_that_needs_whole_sequences_is_refused_before_the_first_step()
    {
        using var job = new RankJob { Ranks = 2 };
        var end = job.Run(RankJob.DebugModel(1, 1, "--parallelism.context_parallel_degree=2", "--model.flavor=debugmodel_flex_attn"));
        Assert.Equal(2, end.ExitCode);
        Assert.Contains("its attention stops at document borders; use the plain flavor, or set parallelism.context_parallel_degree = 1", end.Output, StringComparison.Ordinal);
    }

    private static double Validation(string output) =>
        double.Parse(System.Text.RegularExpressions.Regex.Match(output, @"validate step: +2 +loss: +([\d.]+)").Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture);
}
