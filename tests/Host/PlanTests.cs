using System.Text.Json;
using Titan.Abstractions;
using Titan.Host.Jobs;
using Titan.Host.Planning;

namespace Titan.Host.Tests;

public sealed class PlanTests
{
    [Theory]
    [InlineData("debugmodel", "", 43, 43)]
    [InlineData("debugmodel", "output", 43, 42)]
    [InlineData("debugmodel", "auto_filter_small_kn", 43, 1)]
    [InlineData("debugmodel", "auto_filter_small_kn,output", 43, 0)]
    [InlineData("8B", "", 225, 225)]
    [InlineData("8B", "output", 225, 224)]
    [InlineData("8B", "auto_filter_small_kn", 225, 161)]
    [InlineData("8B", "auto_filter_small_kn,output", 225, 160)]
    [InlineData("70B", "", 561, 561)]
    [InlineData("70B", "output", 561, 560)]
    [InlineData("70B", "auto_filter_small_kn", 561, 561)]
    [InlineData("70B", "auto_filter_small_kn,output", 561, 560)]
    [InlineData("405B", "", 883, 883)]
    [InlineData("405B", "output", 883, 882)]
    [InlineData("405B", "auto_filter_small_kn", 883, 883)]
    [InlineData("405B", "auto_filter_small_kn,output", 883, 882)]
    public void Conversion_counts_are_upstreams(string flavor, string filter, int total, int converted)
    {
        var plan = Of("--model.flavor", flavor, "--model.converters", "quantize.linear.float8", $"--quantize.linear.float8.filter_fqns={filter}");
        Assert.Equal((total, converted), (plan.Linears.Count, plan.Linears.Count(l => l.Recipe is not null)));
    }

    [Theory]
    [InlineData("debugmodel", "auto_filter_small_kn", 0)]
    [InlineData("8B", "auto_filter_small_kn", 161)]
    [InlineData("8B", "auto_filter_small_kn,output", 160)]
    [InlineData("70B", "auto_filter_small_kn", 401)]
    [InlineData("70B", "auto_filter_small_kn,output", 400)]
    [InlineData("405B", "auto_filter_small_kn", 631)]
    [InlineData("405B", "auto_filter_small_kn,output", 630)]
    public void Conversion_counts_of_rowwise_are_upstreams(string flavor, string filter, int converted)
    {
        var plan = Of("--model.flavor", flavor, "--model.converters", "quantize.linear.float8", "--quantize.linear.float8.recipe_name", "rowwise", $"--quantize.linear.float8.filter_fqns={filter}");
        Assert.Equal(converted, plan.Linears.Count(l => l.Recipe is not null));
    }

    [Fact]
    public void Mx_spares_the_head_unless_the_job_says_otherwise()
    {
        Assert.Equal(224, Of("--model.flavor", "8B", "--model.converters", "quantize.linear.mx").Linears.Count(l => l.Recipe is not null));
        Assert.Equal(225, Of("--model.flavor", "8B", "--model.converters", "mx", "--quantize.linear.mx.filter_fqns=").Linears.Count(l => l.Recipe is not null));
    }

    [Fact]
    public void Upstreams_rowwise_command_is_accepted_although_the_job_file_spells_out_an_option_of_tensorwise()
    {
        var plan = Of("--job.config_file", "./torchtitan/models/llama3/train_configs/llama3_8b.toml", "--model.converters=quantize.linear.float8",
            "--quantize.linear.float8.recipe_name", "rowwise", "--compile.enable");
        Assert.Equal(224, plan.Linears.Count(l => l.Recipe == "float8/rowwise"));
    }

    [Theory]
    [InlineData("--quantize.linear.float8.recipe_name=rowwis", "--compile.enable", "rowwise_with_gw_hp")]
    [InlineData("--quantize.linear.float8.filter_fqns=wqq", "--compile.enable", "matches no layer")]
    [InlineData("--model.converters=quantize.linear.mx", "--quantize.linear.mx.mxfp8_dim1_cast_kernel_choice=cuda", "leave it at 'triton'")]
    [InlineData("--model.converters=quantize.linear.mx", "--quantize.linear.mx.filter_fqns=auto_filter_small_kn", "no size rule")]
    public void A_recipe_or_an_option_that_is_not_its_own_is_refused_with_the_way_out(string one, string two, string says)
    {
        var e = Assert.Throws<TitanException>(() => Of(JobFlags.With(["--model.flavor", "8B", "--model.converters=quantize.linear.float8"], one, two)));
        Assert.Equal(ExitCode.Usage, e.Code);
        Assert.Contains(says, e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("debugmodel", 6_163_712, 5_639_424, 2048, 71_585_280)]
    [InlineData("debugmodel", 6_163_712, 5_639_424, 8192, 184_831_488)]
    [InlineData("8B", 8_030_261_248, 7_504_924_672, 8192, 57_914_000_000)]
    [InlineData("70B", 70_553_706_496, 69_503_033_344, 8192, 481_400_000_000)]
    [InlineData("405B", 405_853_388_800, 403_752_042_496, 2048, 2_473_200_000_000)]
    public void Parameters_and_FLOPs_are_upstreams(string flavor, long parameters, long withoutEmbedding, int length, long flops)
    {
        var plan = Of("--model.flavor", flavor, "--training.seq_len", length.ToString());
        Assert.Equal(parameters, plan.Counts.Parameters);
        Assert.Equal(withoutEmbedding, plan.Counts.Parameters - plan.Counts.EmbeddingParameters);
        Assert.InRange(plan.FlopsPerToken, flops * 0.9999, flops * 1.0001);
    }

    [Fact]
    public void Upstreams_float8_command_is_accepted_as_it_is_pasted()
    {
        var session = JobSession.Open(
        [
            "--job.config_file", "./torchtitan/models/llama3/train_configs/llama3_8b.toml", "--model.converters=quantize.linear.float8",
            "--quantize.linear.float8.enable_fsdp_float8_all_gather", "--quantize.linear.float8.precompute_float8_dynamic_scale_for_fsdp", "--compile.enable",
        ]);
        Assert.Contains(session.Job.Warnings, w => w.Contains("upstream's path", StringComparison.Ordinal));
        var plan = Plan.Of(session.Job.Config, session.Models, session.Converters.Choose(session.Job, session.Schema), []);
        Assert.Equal(224, plan.Linears.Count(l => l.Recipe is not null));
        Assert.Equal(2, plan.Reports[0].Notes.Count(n => n.Contains("needs more than one rank", StringComparison.Ordinal)));
    }

    [Theory, MemberData(nameof(Jobs))]
    public void Every_shipped_job_can_be_planned_and_printed_as_JSON(string name)
    {
        var file = Path.Combine(Configs, name);
        using var json = JsonDocument.Parse(Of("--job.config_file", file).ToJson());
        Assert.True(json.RootElement.GetProperty("memory").GetProperty("total").GetInt64() > 0);
        Assert.Equal(json.RootElement.GetProperty("linears").GetProperty("total").GetInt32(), json.RootElement.GetProperty("layers").GetArrayLength());
    }

    [Fact]
    public void A_plan_of_a_mixture_says_what_a_token_meets()
    {
        var plan = Of("--job.config_file", Path.Combine(Configs, "deepseek_v3", "deepseek_v3_671b.toml"));
        Assert.Contains("active           37,552,282,624 that a token meets", plan.ToText(), StringComparison.Ordinal);
        // Experts are most of it, and their states are there whole.
        Assert.Equal(4 * 671_026_404_352, plan.Memory["weights"]);
    }

    public static TheoryData<string> Jobs => [.. Directory.EnumerateFiles(Configs, "*.toml", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(Configs, f)).Order(StringComparer.Ordinal)];

    private static string Configs => Path.Combine(Path.GetDirectoryName(Titan.Training.Data.SampleAssets.Root)!, "configs");

    private static Plan Of(params string[] args)
    {
        var session = JobSession.Open(args);
        return Plan.Of(session.Job.Config, session.Models, session.Converters.Choose(session.Job, session.Schema), session.Parallelisms(Plan.MeshOf(session.Job.Config, null)));
    }
}
