using Titan.Tests.Kit;

namespace Titan.Plugins.Tests;

/// <summary>A parallelism of a third party is judged by what it says itself that it will send.</summary>
public sealed class ParallelismPlanTests : IClassFixture<BuiltFixtures>, IDisposable
{
    private readonly string dump = Directory.CreateTempSubdirectory("titan-plan").FullName;

    private static readonly string[] Job =
    [
        "--plugins.path", BuiltFixtures.Folder("OwnReplication"), "--plugins.disable", "titan.parallelism", "--model.flavor", "cpu_small", "--training.seq_len", "32", "--training.local_batch_size", "1",
        "--training.steps", "2", "--parallelism.data_parallel_replicate_degree", "2",
    ];

    [FactWithTools("mpirun.openmpi")]
    public void Another_way_to_send_is_no_difference_where_its_plan_says_so()
    {
        var output = Train();
        Assert.Contains("calls and bytes are as computed beforehand", output, StringComparison.Ordinal);
        Assert.Contains("Parallelism: every gradient by itself", output, StringComparison.Ordinal);
    }

    [FactWithTools("mpirun.openmpi")]
    public void A_plan_that_is_wrong_is_told_with_the_plugin_that_made_it() =>
        Assert.Matches(@"not as computed beforehand: dp_replicate all_reduce: computed \d+ calls of [\d,]+ bytes, counted \d+ calls of [\d,]+ bytes, planned by dp_replicate of plugin 'ownreplication'", Train("--parallelism.acme_forgets_norms"));

    [Fact]
    public void Its_plan_is_what_the_command_prints_and_its_options_are_keys()
    {
        var (code, output) = Processes.Run(Processes.Titan, dump, ["plan", "--world", "2", .. Job]);
        Assert.True(code == 0, output);
        // The table, the head, the last norm, and two norms and seven linears of each of four blocks.
        Assert.Matches(@"dp_replicate\s+all_reduce\s+39 ", output);
        (code, output) = Processes.Run(Processes.Titan, dump, ["config", "show", .. Job]);
        Assert.True(code == 0, output);
        Assert.Matches(@"acme_forgets_norms = false\s+# default", output);
        // The keys of the plugin that it stands for have gone with it.
        (code, output) = Processes.Run(Processes.Titan, dump, ["config", "show", "--parallelism.no-fsdp_prefetch", .. Job]);
        Assert.Equal(2, code);
        Assert.Contains("there is no such key in [parallelism]", output, StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(dump, true);

    private string Train(params string[] more)
    {
        var (code, output) = Processes.Run("/bin/bash", dump, [Path.Combine(StagedPlugin.Repository, "run_train.sh"), "--job.dump_folder", dump, .. Job, .. more],
            ("NGPU", "2"), ("TITAN_PROGRAM", Processes.Titan), ("OMP_NUM_THREADS", "1"), ("OMP_WAIT_POLICY", "PASSIVE"));
        Assert.True(code == 0, $"exit code {code}: {output}");
        return output;
    }
}
