namespace Titan.Distributed.Tests;

/// <summary>One rank fails; the whole job ends soon, with the right exit code, and says who and where.</summary>
public sealed class FaultTests
{
    [Theory]
    [Ranks("Open MPI", 4)]
    [Ranks("MPICH", 2)]
    public void A_rank_that_throws_ends_the_job_with_its_exit_code(string launcher, int ranks) =>
        Fails(launcher, ranks, "throw", 5, $"rank {ranks - 1} of {ranks}", "the checkpoint is unreadable");

    [FactWithTools("mpirun.openmpi", "mpiexec.mpich")]
    public void A_rank_that_dies_ends_the_job_and_the_others_say_what_they_waited_in()
    {
        Fails("Open MPI", 4, "kill", 137, "rank 3", "was told to end (SIGTERM) while it waited in all_reduce #2 of group 'world' (400 B)");
        Fails("MPICH", 2, "kill", 9, "EXIT CODE: 9");
    }

    [Theory]
    [Ranks("Open MPI", 4)]
    [Ranks("MPICH", 2)]
    public void A_rank_that_hangs_is_named_with_the_collective_that_it_has_not_called(string launcher, int ranks) =>
        Fails(launcher, ranks, "hang", 1, "all_gather_into_tensor #2 of group 'world'", "has waited 3 s on rank 0 of", $"rank {ranks - 1} (host ", "has not called it; its last call in this group was #1");

    [Theory]
    [Ranks("Open MPI", 2)]
    [Ranks("MPICH", 2)]
    public void A_rank_that_does_not_even_answer_is_named(string launcher, int ranks) =>
        Fails(launcher, ranks, "hang-stop", 1, "all_gather_into_tensor #2 of group 'world'", $"no answer from rank {ranks - 1} (host ");

    [FactWithTools("mpirun.openmpi")]
    public void A_rank_that_waits_in_another_group_is_named_with_that_group() =>
        Fails("Open MPI", 4, "hang-other-group", 1, "barrier #1 of group 'dp_shard' has waited 3 s on rank 0 of 4", "rank 2 (host ", "it waits in group 'tp'");

    [Theory]
    [Ranks("Open MPI", 4)]
    [Ranks("MPICH", 2)]
    public void Ranks_that_disagree_about_a_collective_are_told_what_each_called(string launcher, int ranks)
    {
        var last = ranks - 1;
        Fails(launcher, ranks, "mismatch", 1, $"the ranks disagree: rank{(ranks > 2 ? "s" : "")} 0", $"rank {last} called all_gather_into_tensor of {80 * ranks} B Float32");
        Fails(launcher, ranks, "mismatch-verb", 1, "called broadcast of 32 B Float32 from rank 0", $"rank {last} called all_reduce (Max) of 32 B Float32");
    }

    [Theory]
    [Ranks("Open MPI", 3)]
    [Ranks("MPICH", 2)]
    public void Ranks_that_disagree_about_splits_or_a_message_are_told_both_lengths(string launcher, int ranks)
    {
        var last = ranks - 1;
        Fails(launcher, ranks, "mismatch-splits", 1, $"all_to_all_single #1 of group 'world' ({32 * ranks} B) on rank 0 of {ranks}", "the ranks disagree: rank 0 (host ", $"sends 32 B to rank {last} (host ", "which expects 80 B");
        Fails(launcher, ranks, "mismatch-message", 1, $"recv #1 of group 'world' from rank 0 of the group (48 B) on rank {last} of {ranks}", "sends 40 B Float32 with tag 3, this rank receives 48 B Float32");
    }

    [Theory]
    [Ranks("Open MPI", 2)]
    [Ranks("MPICH", 2)]
    public void A_message_that_nobody_sends_ends_the_job_and_says_whose_it_would_be(string launcher, int ranks) =>
        Fails(launcher, ranks, "hang-message", 1, "recv #1 of group 'world' from rank 1 of the group (400 B) has waited 3 s on rank 0 of 2", "rank 1 (host ", "has called nothing in this group for", "Each send needs its receive");

    [FactWithTools("mpirun.openmpi")]
    public void After_the_verified_calls_the_watchdog_finds_ranks_that_disagree() =>
        Fails("Open MPI", 2, "hang-late-mismatch", 1, "#1001 of group 'world'", "instead");

    [FactWithTools("mpirun.openmpi")]
    public void Ranks_that_were_started_differently_are_told_the_key_and_both_values() =>
        Fails("Open MPI", 4, "disagree", 2, "training.seq_len is '2048' on rank 0 and '4096' on rank 3", "plugin Titan.MXFP8 is '0.1.0' on rank 0 and missing on rank 3");

    [FactWithTools("mpirun.openmpi")]
    public void A_mesh_of_another_size_than_the_job_is_refused() => Fails("Open MPI", 2, "mesh-wrong", 2, "the mesh has 3 ranks, the job 2");

    [FactWithTools("mpirun.openmpi", "mpiexec.mpich")]
    public void A_library_that_is_not_the_launchers_or_is_missing_is_refused_with_the_way_out()
    {
        var other = RankLauncher.OpenMpi.Run(2, "agree", ("MPI_LIBRARY", "libmpich.so.12"));
        Assert.Equal(2, other.ExitCode);
        Assert.Contains("started 2 ranks, but MPICH", other.Output, StringComparison.Ordinal);
        var none = RankLauncher.OpenMpi.Run(2, "agree", ("MPI_LIBRARY", "/nowhere/libmpi.so"));
        Assert.Equal(2, none.ExitCode);
        Assert.Contains("MPI_LIBRARY = /nowhere/libmpi.so: no such library", none.Output, StringComparison.Ordinal);
        Assert.Contains("openmpi-bin libopenmpi3", none.Output, StringComparison.Ordinal);
    }

    private static void Fails(string launcher, int ranks, string scenario, int code, params string[] words)
    {
        var result = RankLauncher.Named(launcher).Run(ranks, scenario);
        foreach (var word in words) Assert.Contains(word, result.Output, StringComparison.Ordinal);
        Assert.True(result.ExitCode == code, $"exit code {result.ExitCode}:\n{result.Output}");
        // Watchdogs of 3 s, launchers of a few, on machines that are busy.
        Assert.True(result.Duration < TimeSpan.FromSeconds(60), $"took {result.Duration}:\n{result.Output}");
    }
}
