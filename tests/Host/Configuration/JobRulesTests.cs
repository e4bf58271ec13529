using Titan.Abstractions;
using Titan.Host.Configuration;
using Titan.Host.Jobs;
using Titan.Quantization.Matmuls;
using Titan.Training.Configuration;
using Titan.Training.Data;
using Titan.Training.Models;

namespace Titan.Host.Tests.Configuration;

/// <summary>check, plan and train go by the same rules.</summary>
public sealed class JobRulesTests
{
    [Theory]
    [InlineData("command line: training.global_batch_size = 7: expected a multiple of local_batch_size * data-parallel ranks = 2 * 1 = 2", "--training.global_batch_size=7", "--training.local_batch_size=2")]
    [InlineData("converted 0 of 29 linears", "--model.converters=quantize.linear.float8", "--quantize.linear.float8.filter_fqns=layers,output")]
    [InlineData("command line: validation.dataset = \"c5\": no such dataset", "--validation.enable", "--validation.dataset=c5")]
    [InlineData("micro-batch", "--training.seq_len=1073741824", "--training.local_batch_size=2")]
    [InlineData("no loaded plugin has this converter", "--model.converters=quantize.linear.float9")]
    [InlineData("there is nothing", "--model.flavor=there is nothing")]
    [InlineData("checkpoint.initial_load_in_hf = true: needs checkpoint.enable = true, else the run would start from random weights", "--checkpoint.initial_load_in_hf")]
    [InlineData("checkpoint.initial_load_in_hf = true: needs checkpoint.initial_load_model_only = true", "--checkpoint.enable", "--checkpoint.initial_load_in_hf", "--checkpoint.no-initial_load_model_only")]
    [InlineData("checkpoint.last_save_in_hf = true: needs checkpoint.last_save_model_only = true", "--checkpoint.enable", "--checkpoint.last_save_in_hf", "--checkpoint.no-last_save_model_only")]
    [InlineData("checkpoint.last_save_in_hf = true: load_only saves nothing", "--checkpoint.enable", "--checkpoint.last_save_in_hf", "--checkpoint.load_only")]
    [InlineData("checkpoint.initial_load_in_hf = true: create_seed_checkpoint saves weights that a seed gives", "--checkpoint.enable", "--checkpoint.initial_load_in_hf", "--checkpoint.create_seed_checkpoint")]
    [InlineData("checkpoint.initial_load_in_hf_quantized = true: has no effect without checkpoint.initial_load_in_hf = true", "--checkpoint.enable", "--checkpoint.initial_load_in_hf_quantized")]
    public void What_train_refuses_check_and_plan_refuse_with_the_same_words(string says, params string[] job)
    {
        string? first = null;
        var folder = Directory.CreateTempSubdirectory("titan-rules").FullName;
        string[] all = ["--job.dump_folder", folder, .. job.Any(j => j.StartsWith("--model.flavor", StringComparison.Ordinal)) ? job : ["--model.flavor=cpu_small", .. job]];
        foreach (var command in new[] { new[] { "config", "check" }, ["plan"], ["plan", "--world", "1"], ["train"] })
        {
            var (exit, output) = TitanProcess.Run([.. command, .. all]);
            var said = string.Join('\n', output.Split('\n').SkipWhile(l => !l.StartsWith("titan: error:", StringComparison.Ordinal)));
            Assert.Contains(says, said, StringComparison.Ordinal);
            Assert.Equal((int)ExitCode.Usage, exit);
            Assert.Equal(first ??= said, said);
        }

        Directory.Delete(folder, true);
    }

    [Fact]
    public void All_problems_of_a_job_are_told_at_once_whoever_finds_them()
    {
        var error = Assert.Throws<TitanException>(() => JobSession.OpenJob(
            ["--training.steps=0", "--model.flavor=9B", "--training.global_batch_size=7", "--training.local_batch_size=2", "--model.converters=quantize.linear.float9", "--a.b=1", "--optimizer.beta1=1"], 1));
        Assert.Equal(ExitCode.Usage, error.Code);
        var lines = error.Message.Split('\n');
        string[] expected = ["a.b", "training.steps = 0", "optimizer.beta1 = 1.0: expected 0 or more and less than 1", "model.flavor = '9B'", "training.global_batch_size = 7", "quantize.linear.float9"];
        foreach (var part in expected) Assert.Single(lines, l => l.Contains(part, StringComparison.Ordinal));
        Assert.Equal(expected.Length, lines.Length);
    }

    [Fact]
    public void What_fits_the_number_of_ranks_is_accepted_and_what_fits_no_number_is_refused_where_it_is_unknown()
    {
        string[] job = ["--training.global_batch_size=12", "--training.local_batch_size=2", "--parallelism.data_parallel_replicate_degree=3"];
        Assert.NotNull(JobSession.OpenJob(job));
        Assert.NotNull(JobSession.OpenJob(job, 6));
        Assert.Contains("2 * 12 = 24", Assert.Throws<TitanException>(() => JobSession.OpenJob(job, 12)).Message, StringComparison.Ordinal);
        Assert.Contains("2 * 5 = 10", Assert.Throws<TitanException>(() => JobSession.OpenJob([.. job[..2], "--parallelism.data_parallel_shard_degree=5"])).Message, StringComparison.Ordinal);
    }

    /// <summary>The trainer and the plan of the wire, which may be given a job that no rule has seen.</summary>
    [Theory]
    [InlineData(-1, 3, 2, 1), InlineData(12, 3, 2, 2), InlineData(12, 1, 1, 12)]
    public void Micro_batches_are_the_global_batch_over_what_the_ranks_read_together(int global, int local, int ranks, int expected) =>
        Assert.Equal(expected, GradientAccumulation.Steps(new TrainingSection { GlobalBatchSize = global, LocalBatchSize = local }, new ParallelDimensions(DataParallelShard: ranks)));

    [Theory]
    [InlineData("--parallelism.data_parallel_replicate_degree=65536", "--parallelism.tensor_parallel_degree=65536")]
    [InlineData("--parallelism.data_parallel_replicate_degree=1048576", "--parallelism.data_parallel_shard_degree=1048576")]
    public void Degrees_whose_product_no_integer_holds_are_refused(params string[] degrees)
    {
        foreach (var ranks in new int?[] { null, 1, 2 })
            Assert.Contains("is more than 1048576 ranks", Assert.Throws<TitanException>(() => JobSession.OpenJob([.. degrees, "--training.seq_len=65536"], ranks)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_advice_for_a_converter_that_converts_nothing_names_only_what_it_has()
    {
        var skipped = new ConversionReport("acme", "", ExportStatus.Stable, [new LayerConversion("output", new LinearShape(16, 16), null, "a rule", "high precision")], []);
        string Message(object options) => Assert.Throws<TitanException>(() => ModelBuilder.ThrowIfNothingConverted([skipped], [("acme", new Nothing(), options)])).Message;
        Assert.EndsWith("(1 by a rule); drop the converter from model.converters", Message(new NoOptions()), StringComparison.Ordinal);
        Assert.EndsWith("change the options in [acme] or drop the converter from model.converters", Message(new Ranked()), StringComparison.Ordinal);
    }

    private sealed record Ranked
    {
        public int Rank { get; init; }
    }

    private sealed class Nothing : IModelConverter
    {
        public IModelConversion Convert(ModelSlots model, object options, ConversionContext context) => throw new NotSupportedException();
    }
}
