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
    [InlineData("[metrics]\nfloat8_stats_freq = 1\n", ":2", "has no effect without a quantize.linear converter")]
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
