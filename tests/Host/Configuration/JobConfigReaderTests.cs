using System.Text.RegularExpressions;
using Titan.Abstractions;
using Titan.Host.Configuration;

namespace Titan.Host.Tests.Configuration;

public sealed class JobConfigReaderTests : IDisposable
{
    private readonly string file = Path.GetTempFileName();

    public void Dispose() => File.Delete(file);

    [Fact]
    public void Nothing_given_means_defaults() => Assert.Equal(10000, Read().Config.Training.Steps);

    [Fact]
    public void The_command_line_wins_over_the_file_which_wins_over_the_default()
    {
        var job = ReadFile("[training]\nsteps = 5\nseq_len = 64\n", "--training.steps", "7");
        Assert.Equal((7, 64, 8), (job.Config.Training.Steps, job.Config.Training.SeqLen, job.Config.Training.LocalBatchSize));
        Assert.Equal("command line", job.Origins["training.steps"]);
        Assert.EndsWith(":3", job.Origins["training.seq_len"], StringComparison.Ordinal);
    }

    [Fact]
    public void Dashes_and_underscores_are_alike_and_booleans_are_switches()
    {
        var config = Read("--training.seq-len=3", "--checkpoint.enable", "--checkpoint.no-last-save-model-only").Config;
        Assert.Equal((3, true, false), (config.Training.SeqLen, config.Checkpoint.Enable, config.Checkpoint.LastSaveModelOnly));
    }

    [Fact]
    public void A_list_replaces_the_files_and_an_empty_value_is_the_empty_list()
    {
        const string toml = "[checkpoint]\nexclude_from_loading = [\"optimizer\"]\n";
        Assert.Equal(["dataloader", "model"], ReadFile(toml, "--checkpoint.exclude_from_loading", "dataloader,model").Config.Checkpoint.ExcludeFromLoading);
        Assert.Empty(ReadFile(toml, "--checkpoint.exclude_from_loading=").Config.Checkpoint.ExcludeFromLoading);
    }

    [Fact]
    public void Old_converter_names_work_with_a_warning()
    {
        var job = Read("--model.converters", "float8,mx");
        Assert.Equal(["quantize.linear.float8", "quantize.linear.mx"], job.Config.Model.Converters);
        Assert.Equal(2, job.Warnings.Count);
    }

    [Theory]
    [InlineData("[training]\nstep = 5\n", ":2: training.step", "did you mean 'training.steps'")]
    [InlineData("[trainign]\nsteps = 5\n", ":2: trainign.steps", "no section [trainign]")]
    [InlineData("[training]\nsteps = \"x\"\n", ":2", "expected a whole number")]
    [InlineData("[training]\nsteps = 5.5\n", ":2", "expected a whole number")]
    [InlineData("[training]\nsteps = = 5\n", ":2:", "not valid TOML")]
    [InlineData("[optimizer]\nname = \"SGD\"\n", ":2", "one of: Adam, AdamW")]
    [InlineData("[checkpoint]\nkeep_latest_k = 1\n", ":2", "2 and more")]
    [InlineData("[profiling]\nenable_profiling = true\n", ":2", "not supported yet")]
    [InlineData("[metrics]\nfloat8_stats_freq = 1\n", ":2", "has no effect without a quantize converter")]
    [InlineData("[metrics]\nfloat8_stats_freq = -1\n", ":2", "0")]
    [InlineData("[training]\nsteps = 1\n[float8]\nemulate = true\n", ":4", "quantize.linear.float8.emulate now")]
    public void A_mistake_in_the_file_is_named_with_its_line(string toml, string where, string what)
    {
        var error = Assert.Throws<TitanException>(() => ReadFile(toml));
        Assert.Equal(ExitCode.Usage, error.Code);
        Assert.Contains(where, error.Message, StringComparison.Ordinal);
        Assert.Contains(what, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void All_mistakes_are_reported_at_once() =>
        Assert.Equal(3, Assert.Throws<TitanException>(() => Read("--a.b", "1", "--training.steps", "x", "--training.seq_len", "0")).Message.Split('\n').Length);

    [Theory]
    [InlineData("--training.steps", "5", "--training.steps=5")]
    [InlineData("--compile.enable", "--compile.enable")]
    [InlineData("--model.converters", "a", "--model.converters=b,c")]
    public void A_flag_may_be_repeated_and_a_list_goes_on(params string[] args)
    {
        var job = Read(args);
        Assert.Equal(args[0] == "--training.steps" ? 5 : 10000, job.Config.Training.Steps);
        Assert.Equal(args[0] == "--model.converters" ? ["a", "b", "c"] : [], job.Config.Model.Converters);
    }

    [Theory]
    [InlineData("training.steps is given twice, \"5\" and \"6\"", "--training.steps", "5", "--training.steps=6")]
    [InlineData("compile.enable is given twice, true and false", "--compile.enable", "--compile.no-enable")]
    [InlineData("training.seq_len is given twice", "--training.seq_len=8", "--training.seq-len=9")]
    public void A_value_that_is_given_twice_and_differs_is_an_error(string says, params string[] args) =>
        Assert.Contains(says, Assert.Throws<TitanException>(() => Read(args)).Message, StringComparison.Ordinal);

    [Fact]
    public void Two_job_files_are_an_error_and_neither_wins()
    {
        File.WriteAllText(file, "[training]\nsteps = 5\n");
        var other = file + ".toml";
        File.WriteAllText(other, "[training]\nsteps = 6\n");
        try
        {
            Assert.Equal(5, Read("--job.config_file", file, "--job.config-file=" + file).Config.Training.Steps);
            var message = Assert.Throws<TitanException>(() => Read("--job.config_file", file, "--job.config-file", other)).Message;
            Assert.Contains("job.config_file is given twice", message, StringComparison.Ordinal);
            Assert.Contains("CONFIG_FILE", message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(other);
        }
    }

    [Fact]
    public void A_job_file_that_names_another_is_refused() =>
        Assert.Contains("a job file cannot name another", Assert.Throws<TitanException>(() => ReadFile("[job]\nconfig_file = \"x.toml\"\n")).Message, StringComparison.Ordinal);

    /// <summary>Of every old name and every key that could follow it, with and without the plugins.</summary>
    [Theory]
    [InlineData(false), InlineData(true)]
    public void Advice_for_an_unknown_key_never_leads_to_an_unknown_key(bool withPlugins)
    {
        var schema = withPlugins ? Titan.Host.Jobs.JobSession.Open([]).Schema : new ConfigSchema([]);
        var parts = schema.All.Select(k => k.Name).Append("enable_float8_linear").Append("use_fp8_dim1_cast_triton_kernel").Distinct().ToList();
        foreach (var old in UnknownKey.Renamed.Keys)
        {
            foreach (var name in parts.Select(p => $"{old}.{p}").Append(old).Where(n => schema.Find(n).Count == 0))
            {
                var message = UnknownKey.Message("--" + name, name, schema, "command line");
                foreach (Match advised in Regex.Matches(message, @"this is called \[?([a-z0-9_.]+)\]? now(?!, and no loaded)|did you mean '([^']+)'"))
                {
                    var key = advised.Groups[1].Value + advised.Groups[2].Value;
                    Assert.True(schema.Find(key).Count > 0 || schema.Sections.Contains(key), message);
                }
            }
        }
    }

    [Theory]
    [InlineData("[mx]\nrecipe_nam = 1\n", "[mx] is called [quantize.linear.mx] now, which has no such key; did you mean 'quantize.linear.mx.recipe_name'?; its keys: recipe_name")]
    [InlineData("[training]\ncompile = true\n", "this is called compile.enable now")]
    [InlineData("[experimental]\npipeline_parallel_degree = 2\n", "this is called parallelism.pipeline_parallel_degree now")]
    [InlineData("[float8]\nenable_float8_linear = true\n", "[float8] is called [quantize.linear.float8] now, which has no such key")]
    public void The_advice_for_an_old_name_is_the_key_that_there_is(string toml, string says)
    {
        File.WriteAllText(file, toml);
        var schema = Titan.Host.Jobs.JobSession.Open([]).Schema;
        Assert.Contains(says, Assert.Throws<TitanException>(() => new JobConfigReader(schema, ".").Read(["--job.config_file", file])).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("[optimizer]\nimplementation = \"foreach\"\n", "optimizer.implementation has no effect: ")]
    [InlineData("[activation_checkpoint]\npreserve_rng_state = false\n", "activation_checkpoint.preserve_rng_state has no effect: ")]
    [InlineData("[metrics]\nsave_for_all_ranks = true\n", "metrics.save_for_all_ranks has no effect: metrics.enable_tensorboard is false")]
    public void A_key_without_effect_is_answered_with_a_note(string toml, string note) => Assert.Contains(ReadFile(toml).Warnings, w => w.StartsWith(note, StringComparison.Ordinal));

    [Fact]
    public void A_flag_of_what_is_switched_off_is_answered_with_a_note()
    {
        Assert.Contains("checkpoint.interval has no effect: checkpoint.enable is false", Read("--checkpoint.interval=5").Warnings);
        Assert.Empty(Read("--checkpoint.interval=5", "--checkpoint.enable").Warnings);
        Assert.Empty(ReadFile("[checkpoint]\ninterval = 5\n").Warnings);
    }

    [Fact]
    public void A_rule_of_several_keys_says_nothing_of_a_key_that_is_wrong_already()
    {
        var message = Assert.Throws<TitanException>(() => Read("--training.global_batch_size=7", "--training.local_batch_size=x", "--parallelism.tensor_parallel_degree=0")).Message;
        Assert.Equal(2, message.Split('\n').Length);
        Assert.DoesNotContain("multiple", message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_printed_reads_back_to_the_same_job()
    {
        var schema = new ConfigSchema([]);
        var job = Read("--training.steps", "12", "--optimizer.lr", "1e-5", "--model.converters", "a,b", "--checkpoint.enable", "--job.description", "quotes \" and \\ and é");
        var again = ReadFile(ConfigPrinter.ToToml(job, schema, onlyChanged: false));
        foreach (var (key, value) in job.Values.Where(v => v.Key != "job.config_file"))
            Assert.Equal(System.Text.Json.JsonSerializer.Serialize(value), System.Text.Json.JsonSerializer.Serialize(again.Values[key]));
    }

    private static LoadedJob Read(params string[] args) => new JobConfigReader(new ConfigSchema([]), ".").Read(args);

    private LoadedJob ReadFile(string toml, params string[] args)
    {
        File.WriteAllText(file, toml);
        return Read(["--job.config_file", file, .. args]);
    }
}
