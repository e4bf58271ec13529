using System.Text.Json;
using System.Text.RegularExpressions;
using Titan.Host.Plugins;
using Titan.Training.Checkpoints;

namespace Titan.Host.Tests.Ranks;

/// <summary>Whatever happens to one rank, all end, somebody says why, and the newest checkpoint stays whole.</summary>
[Collection(RankTests.Name)]
public sealed class RankFaultTests
{
    private const int Killed = 9, Terminated = 15, Stopped = 19;
    private static readonly string[] Saving = ["--checkpoint.enable", "--checkpoint.interval", "2", "--training.steps", "500"];

    [FactWithTools("mpirun.openmpi")]
    public void A_rank_that_is_killed_ends_the_job_and_leaves_the_checkpoint_whole()
    {
        using var job = new RankJob { Ranks = 3 };
        job.Start(Job(Saving));
        job.WaitFor("step:  3");
        job.Signal(rank: 2, Killed);
        var end = job.End();
        Assert.True(end.ExitCode == 137, $"exit code {end.ExitCode}: {end.Output}");
        Assert.Contains("signal 9", end.Output, StringComparison.Ordinal);
        Opens(job);
    }

    [FactWithTools("mpirun.openmpi")]
    public void A_rank_that_hangs_is_named_with_the_collective_that_waits_for_it()
    {
        using var job = new RankJob { Ranks = 3 };
        job.Start(Job([.. Saving, "--comm.train_timeout_seconds", "6"]));
        job.WaitFor("step:  3");
        job.Signal(rank: 1, Stopped);
        var end = job.End();
        Assert.True(end.ExitCode == 1, $"exit code {end.ExitCode}: {end.Output}");
        Assert.Contains("no answer from rank 1", end.Output, StringComparison.Ordinal);
        Assert.Matches("(AllGatherIntoTensor|ReduceScatterTensor|AllReduce|Barrier|Broadcast|all_gather_into_tensor|reduce_scatter_tensor|all_reduce|barrier|broadcast).* has waited", end.Output);
        Opens(job);
    }

    [FactWithTools("mpirun.openmpi")]
    public void A_rank_that_hangs_before_the_first_step_has_the_time_of_the_first_step()
    {
        using var job = new RankJob { Ranks = 2 };
        job.Start(Job("--comm.init_timeout_seconds", "8"));
        job.WaitFor("Starting job");
        job.Signal(rank: 1, Stopped);
        var end = job.End();
        Assert.True(end.ExitCode == 1, $"exit code {end.ExitCode}: {end.Output}");
        Assert.Contains("no answer from rank 1", end.Output, StringComparison.Ordinal);
    }

    [FactWithTools("mpirun.openmpi", "pgrep")]
    public void SIGTERM_to_the_launcher_saves_and_every_rank_ends_well()
    {
        using var job = new RankJob { Ranks = 3 };
        job.Start(Job("--checkpoint.enable", "--checkpoint.interval", "1000", "--training.steps", "500"));
        job.WaitFor("step:  3");
        job.Signal(Terminated);
        var end = job.End();
        Assert.True(end.ExitCode == 0, $"exit code {end.ExitCode}: {end.Output}");
        var stopped = Regex.Match(end.Output, @"Stopped at step (\d+) as asked; the checkpoint is saved");
        Assert.True(stopped.Success, end.Output);
        Assert.True(Directory.Exists(Path.Combine(job.Folder, "checkpoint", $"step-{stopped.Groups[1].Value}")), end.Output);
        Opens(job);
    }

    [FactWithTools("mpirun.openmpi")]
    public void A_rank_whose_disk_is_full_ends_the_job_and_leaves_no_half_checkpoint()
    {
        // Files of this rank end at 10 MB: its part of the checkpoint does not fit, MPI's own files do. .NET's memory for code is a larger file unless it is told otherwise.
        using var job = new RankJob { Ranks = 3, EachRank = "if [ $rank = 1 ]; then trap '' XFSZ; ulimit -f 10000; export DOTNET_EnableWriteXorExecute=0; fi" };
        var end = job.Run(Job(Saving));
        Assert.True(end.ExitCode == 5, $"exit code {end.ExitCode}: {end.Output}");
        Assert.Contains("rank 1", end.Output, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateDirectories(Path.Combine(job.Folder, "checkpoint"), "step-*"));
    }

    [FactWithTools("mpirun.openmpi")]
    public void A_rank_that_throws_ends_the_job_with_its_message_and_exit_code()
    {
        var end = Run("if [ $rank = 2 ]; then export TITAN_PLUGIN_PATH=/not/there; fi");
        Assert.True(end.ExitCode == 3, $"exit code {end.ExitCode}: {end.Output}");
        Assert.Contains("rank 2", end.Output, StringComparison.Ordinal);
        Assert.Contains("plugin folder '/not/there' does not exist", end.Output, StringComparison.Ordinal);
    }

    [FactWithTools("mpirun.openmpi")]
    public void Another_configuration_on_one_rank_is_refused_with_key_values_and_rank()
    {
        var end = Run("if [ $rank = 2 ]; then args+=(--optimizer.lr 0.01); fi");
        Assert.True(end.ExitCode == 2, $"exit code {end.ExitCode}: {end.Output}");
        Assert.Contains("optimizer.lr is '0.003' on rank 0 and '0.01' on rank 2", end.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("step:  1", end.Output, StringComparison.Ordinal);
    }

    [FactWithTools("mpirun.openmpi")]
    public void Another_version_of_a_plugin_on_one_rank_is_refused()
    {
        var folder = Directory.CreateTempSubdirectory("titan-newer-").FullName;
        try
        {
            foreach (var file in Directory.EnumerateFiles(Path.Combine(RankJob.Repository, "artifacts", "plugins", "titan.parallelism"))) File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
            var path = Path.Combine(folder, PluginManifest.FileName);
            var manifest = JsonSerializer.Deserialize<PluginManifest>(File.ReadAllText(path), PluginManifest.Json)!;
            File.WriteAllText(path, JsonSerializer.Serialize(manifest with { Version = "9.0.0" }, PluginManifest.Json));
            var end = Run($"if [ $rank = 1 ]; then export TITAN_PLUGIN_PATH='{folder}'; fi");
            Assert.True(end.ExitCode == 2, $"exit code {end.ExitCode}: {end.Output}");
            Assert.Matches($"plugin titan.parallelism is '{manifest.Version} .*' on rank 0 and '9.0.0 .*' on rank 1", end.Output);
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    [FactWithTools("mpirun.openmpi")]
    public void A_rank_without_the_plugins_is_refused()
    {
        // The same program beside which no plugin lies. Inside the repository, where it finds its assets.
        var folder = Directory.CreateDirectory(Path.Combine(RankJob.Repository, "artifacts", $"without-plugins-{Guid.NewGuid():N}"));
        try
        {
            Directory.CreateDirectory(Path.Combine(folder.FullName, "plugins"));
            foreach (var entry in new DirectoryInfo(AppContext.BaseDirectory).EnumerateFileSystemInfos().Where(e => e.Name is not ("titan" or "titan.dll" or "plugins")))
                File.CreateSymbolicLink(Path.Combine(folder.FullName, entry.Name), entry.FullName);
            // These two themselves: through a link the program would take the folder of its target for its own.
            foreach (var name in new[] { "titan", "titan.dll" }) File.Copy(Path.Combine(AppContext.BaseDirectory, name), Path.Combine(folder.FullName, name));
            var end = Run($"if [ $rank = 2 ]; then exec '{folder.FullName}/titan' \"${{args[@]}}\"; fi");
            Assert.True(end.ExitCode == 2, $"exit code {end.ExitCode}: {end.Output}");
            Assert.Matches("plugin titan.parallelism is '.*' on rank 0 and missing on rank 2", end.Output);
        }
        finally
        {
            folder.Delete(true);
        }
    }

    [TheoryWithTools("mpirun.openmpi")]
    [InlineData("exit 0")]
    [InlineData("args=(config show)")]
    public void A_rank_that_ends_well_before_it_joins_is_not_waited_for(string instead)
    {
        var end = Run($"if [ $rank = 1 ]; then {instead}; fi");
        Assert.True(end.ExitCode == 1, $"exit code {end.ExitCode}: {end.Output}");
        // Where the others have begun to join, the launcher ends them before they have missed it.
        Assert.True(end.Output.Contains("of the 3 processes that the launcher started on this machine ended before they had joined", StringComparison.Ordinal)
            || end.Output.Contains("one of them ended before it had joined", StringComparison.Ordinal), end.Output);
    }

    [FactWithTools("mpirun.openmpi")]
    public void A_number_of_ranks_that_does_not_fit_is_refused_before_anything_is_built()
    {
        using var job = new RankJob { Ranks = 3 };
        var end = job.Run(Job("--parallelism.tensor_parallel_degree", "2"));
        Assert.True(end.ExitCode == 2, $"exit code {end.ExitCode}: {end.Output}");
        Assert.Contains("NGPU", end.Output, StringComparison.Ordinal);
    }

    private static JobEnd Run(string eachRank)
    {
        using var job = new RankJob { Ranks = 3, EachRank = eachRank };
        return job.Run(Job());
    }

    private static string[] Job(params string[] more) =>
        ["--training.seq_len", "32", "--training.local_batch_size", "1", "--metrics.log_freq", "1", "--lr_scheduler.warmup_steps", "2", .. more.Contains("--training.steps") ? [] : new[] { "--training.steps", "4" }, .. more];

    /// <summary>The newest checkpoint that was committed can be read on one rank.</summary>
    private static void Opens(RankJob job)
    {
        var newest = Directory.EnumerateDirectories(Path.Combine(job.Folder, "checkpoint"), "step-*").MaxBy(f => int.Parse(Path.GetFileName(f)["step-".Length..], System.Globalization.CultureInfo.InvariantCulture));
        Assert.NotNull(newest);
        _ = CheckpointStore.OpenFolder(newest);
    }
}
