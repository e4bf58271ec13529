using System.Diagnostics;

namespace Titan.Host.Tests.Launch;

public sealed class RunTrainScriptTests : IDisposable
{
    private readonly LaunchScript script = new();

    public void Dispose() => script.Dispose();

    [Fact]
    public void One_rank_runs_the_program_itself()
    {
        var (code, output) = script.With("CONFIG_FILE", "a.toml").Run("--training.steps", "3");
        Assert.Equal(0, code);
        Assert.StartsWith("program train --job.config_file a.toml --training.steps 3\n", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--job.config_file", "mine.toml")]
    [InlineData("--job.config-file=mine.toml")]
    public void A_job_file_among_the_arguments_takes_the_place_of_the_default(params string[] args)
    {
        var (_, output) = script.Run(args);
        Assert.StartsWith($"program train {string.Join(' ', args)}\n", output, StringComparison.Ordinal);
        // With one of the environment's as well the program decides: the same is fine, another is an error.
        (_, output) = script.With("CONFIG_FILE", "a.toml").Run(args);
        Assert.StartsWith($"program train --job.config_file a.toml {string.Join(' ', args)}\n", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_any_job_file_the_small_model_is_trained() => Assert.Contains("configs/llama3/cpu_small.toml --training.steps 3\n", script.Run("--training.steps", "3").Output, StringComparison.Ordinal);

    [Fact]
    public void Several_ranks_run_under_Open_MPI_with_the_flags_that_one_machine_needs()
    {
        var (code, output) = script.OpenMpi().With("NGPU", "64").With("CONFIG_FILE", "a.toml").Run("--training.steps", "3");
        Assert.Equal(0, code);
        var launched = output.Split('\n').First(l => l.StartsWith("launched", StringComparison.Ordinal));
        Assert.Contains("--bind-to none", launched, StringComparison.Ordinal);
        Assert.Contains("--mca plm isolated", launched, StringComparison.Ordinal);
        Assert.Contains("--oversubscribe", launched, StringComparison.Ordinal);
        Assert.Equal(Environment.UserName == "root", launched.Contains("--allow-run-as-root", StringComparison.Ordinal));
        foreach (var name in new[] { "TERM", "LOG_RANK", "UCX_HANDLE_ERRORS", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "OMP_NUM_THREADS", "TITAN_NO_BUILD" })
            Assert.Contains($"-x {name} ", launched, StringComparison.Ordinal);
        Assert.Contains("-np 64 ", launched, StringComparison.Ordinal);
        Assert.EndsWith("program train --job.config_file a.toml --training.steps 3", launched, StringComparison.Ordinal);
        Assert.Contains("TITAN_NO_BUILD=1 UCX_HANDLE_ERRORS=none OMP_NUM_THREADS=1", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Threads_that_were_chosen_and_flags_of_ones_own_are_kept()
    {
        var (_, output) = script.OpenMpi().With("NGPU", "2").With("OMP_NUM_THREADS", "7").With("TITAN_MPIRUN_FLAGS", "--timeout 30 --tag-output").Run();
        Assert.Contains("--timeout 30 --tag-output -np 2 ", output, StringComparison.Ordinal);
        Assert.Contains("OMP_NUM_THREADS=7", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Open_MPI_is_preferred_and_MPICH_serves_where_it_is_alone()
    {
        script.Launcher("mpiexec", "HYDRA build details:").Launcher("mpiexec.hydra", "HYDRA build details:").With("NGPU", "2");
        var (_, mpich) = script.Run();
        Assert.Contains("launched -np 2 ", mpich, StringComparison.Ordinal);
        var (_, open) = script.OpenMpi().Run();
        Assert.Contains("launched --bind-to none", open, StringComparison.Ordinal);
    }

    [Fact]
    public void Open_MPI_5_is_not_given_a_component_that_it_does_not_have()
    {
        var (_, output) = script.Launcher("mpirun", "mpirun (Open MPI) 5.0.7").With("NGPU", "2").Run();
        Assert.Contains("launched --bind-to none", output, StringComparison.Ordinal);
        Assert.DoesNotContain("isolated", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_a_launcher_the_packages_are_named()
    {
        var (code, output) = script.With("NGPU", "4").Run();
        Assert.Equal(4, code);
        foreach (var says in new[] { "NGPU=4", "apt-get install openmpi-bin libopenmpi3", "dnf install openmpi", "conda install -c conda-forge openmpi", "NGPU=1" })
            Assert.Contains(says, output, StringComparison.Ordinal);
    }

    [Fact]
    public void Several_hosts_are_reached_by_ssh_and_get_the_environment()
    {
        var (code, output) = script.OpenMpi().With("TITAN_HOSTS", "host1:4,host2:4").With("TITAN_LIBTORCH", "/opt/libtorch").Run();
        Assert.Equal(0, code);
        Assert.Contains("--host host1:4,host2:4 ", output, StringComparison.Ordinal);
        Assert.Contains("-np 8 ", output, StringComparison.Ordinal);
        Assert.Contains("--mca mpi_yield_when_idle 1 --mca btl_tcp_links 2", output, StringComparison.Ordinal);
        Assert.Contains("-x TITAN_LIBTORCH ", output, StringComparison.Ordinal);
        Assert.DoesNotContain("isolated", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("NGPU", "four", "expected the number of ranks")]
    [InlineData("NGPU", "0", "expected the number of ranks")]
    [InlineData("LOG_RANK", "first", "expected a rank")]
    [InlineData("TITAN_HOSTS", "host1", "expected host:ranks")]
    [InlineData("HOSTFILE", "/nowhere", "cannot be read")]
    [InlineData("TITAN_LAUNCHER_GRACE_SECONDS", "20s", "expected whole seconds, 1 or more, without a unit; unset it for 20")]
    [InlineData("TITAN_LAUNCHER_GRACE_SECONDS", "0", "expected whole seconds")]
    [InlineData("TITAN_LAUNCHER_GRACE_SECONDS", "1.5", "expected whole seconds")]
    public void What_cannot_be_meant_is_refused(string name, string value, string says)
    {
        var (code, output) = script.OpenMpi().With(name, value).Run();
        Assert.Equal(2, code);
        Assert.Contains($"{name}", output, StringComparison.Ordinal);
        Assert.Contains(says, output, StringComparison.Ordinal);
    }

    [Fact]
    public void More_ranks_than_the_hosts_take_are_refused()
    {
        var (code, output) = script.OpenMpi().With("TITAN_HOSTS", "host1:2").With("NGPU", "4").Run();
        Assert.Equal(2, code);
        Assert.Contains("has room for 2 ranks", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Under_srun_it_is_one_rank_and_NGPU_is_ignored_with_a_note()
    {
        script.OpenMpi().With("NGPU", "2").With("SLURM_PROCID", "0").With("SLURM_STEP_NUM_TASKS", "16").With("SLURM_CPUS_PER_TASK", "6");
        var (code, output) = script.Run();
        Assert.Equal(0, code);
        Assert.StartsWith("program train", output, StringComparison.Ordinal);
        Assert.Contains("OMP_NUM_THREADS=6", output, StringComparison.Ordinal);
        Assert.Contains("NGPU=2 is ignored: srun started 16 ranks", output, StringComparison.Ordinal);
        Assert.DoesNotContain("ignored", script.With("SLURM_PROCID", "3").Run().Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_batch_script_of_Slurm_is_not_mistaken_for_a_rank()
    {
        script.OpenMpi().With("NGPU", "2").With("SLURM_PROCID", "0").With("SLURM_NTASKS", "16").With("SLURM_JOB_ID", "7");
        var (_, output) = script.Run();
        Assert.Contains("-np 2 ", output, StringComparison.Ordinal);
        Assert.DoesNotContain("isolated", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Under_a_launcher_it_does_not_launch_again()
    {
        script.OpenMpi().With("OMPI_COMM_WORLD_SIZE", "4").With("OMPI_COMM_WORLD_RANK", "1").With("LOG_RANK", "all").With("NGPU", "4");
        var (_, output) = script.Run();
        Assert.StartsWith("program train", output, StringComparison.Ordinal);
        Assert.Contains("LOG_RANK=all", output, StringComparison.Ordinal);
    }

    [Fact]
    public void The_exit_code_is_the_launchers()
    {
        var (code, _) = script.OpenMpi("exit 5").With("NGPU", "2").Run();
        Assert.Equal(5, code);
    }

    [Fact]
    public void SIGTERM_reaches_the_launcher_where_no_rank_comes()
    {
        script.With("TITAN_LAUNCHER_GRACE_SECONDS", "1").OpenMpi("trap 'echo stopped; exit 0' TERM; echo ready; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do sleep 1; done; exit 9").With("NGPU", "2");
        using var process = script.Start();
        string? line;
        do line = process.StandardOutput.ReadLine(); while (line is not (null or "ready"));
        Assert.Equal("ready", line);
        using (var kill = Process.Start("/bin/bash", ["-c", $"kill -TERM {process.Id}"])) kill.WaitForExit();
        Assert.Equal("stopped", process.StandardOutput.ReadToEnd().Trim());
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }

    [Fact]
    public void Without_pgrep_several_ranks_are_told_what_will_not_work_and_run_all_the_same()
    {
        script.Without("pgrep").OpenMpi("sleep 2; echo trained");
        var (code, output) = script.With("NGPU", "2").Run();
        Assert.Equal(0, code);
        Assert.Contains("trained", output, StringComparison.Ordinal);
        foreach (var says in new[] { "pgrep is not on PATH", "procps", "without a checkpoint", "mpirun is not ended" }) Assert.Contains(says, output, StringComparison.Ordinal);
        // Once, not at each look for the ranks.
        Assert.DoesNotContain("command not found", output, StringComparison.Ordinal);
        Assert.DoesNotContain("pgrep", script.With("NGPU", "1").Run().Output, StringComparison.Ordinal);
    }

    [FactWithTools("pgrep")]
    public void A_launcher_that_outlives_its_ranks_is_ended()
    {
        // As Open MPI's does when the other host does not answer any more: its ranks here have given up, and it waits for the others.
        script.Program("titan", "sleep 2").OpenMpi("titan & wait; echo waiting; sleep 60; echo done").With("NGPU", "2").With("TITAN_LAUNCHER_GRACE_SECONDS", "2");
        var (code, output) = script.Run();
        Assert.Equal(1, code);
        Assert.Contains("waiting", output, StringComparison.Ordinal);
        Assert.DoesNotContain("done", output, StringComparison.Ordinal);
        Assert.Contains("the ranks of this host ended 2 s ago and mpirun has not: a host does not answer", output, StringComparison.Ordinal);
    }
}
