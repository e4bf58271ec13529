namespace Titan.Distributed.Tests;

/// <summary>Process groups in real processes. What each scenario expects is in the worker, where the values are.</summary>
public sealed class ManyRanksTests
{
    [Theory]
    [Ranks("Open MPI", 1)]
    [Ranks("Open MPI", 2)]
    [Ranks("Open MPI", 4)]
    [Ranks("MPICH", 1)]
    [Ranks("MPICH", 2)]
    public void Every_verb_gives_what_each_rank_computes_by_itself(string launcher, int ranks) => Succeeds(launcher, ranks, "verbs+pieces");

    [Theory]
    [Ranks("Open MPI", 2)]
    [Ranks("Open MPI", 4)]
    [Ranks("MPICH", 2)]
    public void Sums_are_in_rank_order_and_NaN_wins_and_works_may_be_waited_for_in_any_order(string launcher, int ranks) =>
        Succeeds(launcher, ranks, "coalesced+order+deterministic+nan+brain");

    [Theory]
    [Ranks("Open MPI", 2)]
    [Ranks("MPICH", 2)]
    public void Tensors_are_held_and_bad_ones_refused_and_bytes_counted_and_a_late_rank_waited_for_without_spinning(string launcher, int ranks) =>
        Succeeds(launcher, ranks, "disposed+refusals+counts+agree+late");

    [Theory]
    [Ranks("Open MPI", 1)]
    [Ranks("Open MPI", 2)]
    [Ranks("Open MPI", 4)]
    [Ranks("MPICH", 2)]
    [Ranks("MPICH", 3)]
    public void Uneven_splits_and_messages_give_what_plain_indexing_gives_also_in_pieces(string launcher, int ranks) => Succeeds(launcher, ranks, "uneven+uneven-pieces+ring");

    [Theory]
    [Ranks("Open MPI", 3)]
    [Ranks("MPICH", 2)]
    public void Two_ranks_talk_without_the_others_and_bytes_are_counted_and_bad_splits_and_messages_refused(string launcher, int ranks) =>
        Succeeds(launcher, ranks, "pairs+message-counts+message-refusals+counts");

    [Theory]
    [Ranks("Open MPI", 4)]
    [Ranks("MPICH", 2)]
    public void A_rank_that_comes_just_in_time_is_asked_about_and_the_job_goes_on(string launcher, int ranks) => Succeeds(launcher, ranks, "late-asked");

    [FactWithTools("mpirun.openmpi")]
    public void A_mesh_of_two_by_two_has_the_groups_of_upstream() => Succeeds("Open MPI", 4, "mesh+counts");

    [Theory]
    [Ranks("Open MPI")]
    [Ranks("MPICH")]
    public void A_null_reference_in_a_rank_is_an_ordinary_exception(string launcher) => Succeeds(launcher, 2, "null-reference");

    [Fact]
    public void A_process_that_no_launcher_started_is_rank_0_of_1_and_loads_no_MPI()
    {
        var result = RankLauncher.Alone.Run(1, "alone");
        Assert.True(result.ExitCode == 0, result.Output);
    }

    private static void Succeeds(string launcher, int ranks, string scenario)
    {
        var result = RankLauncher.Named(launcher).Run(ranks, scenario);
        Assert.True(result.ExitCode == 0, $"exit code {result.ExitCode}:\n{result.Output}");
        for (var rank = 0; rank < ranks; rank++) Assert.Contains($"rank {rank} of {ranks}: {scenario} ok", result.Output, StringComparison.Ordinal);
    }
}
