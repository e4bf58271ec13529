using Titan.Abstractions;
using Titan.Distributed;
using static TorchSharp.torch;

namespace Titan.Training.Checkpoints;

/// <summary>
/// What may fail on one rank fails on all: ranks tell each other how it went, so that none goes on alone into a collective that nobody else comes to. With one rank these
/// are plain calls. A disk may take minutes where a collective may not: while a rank is still at it, all meet again and again, so that only a rank that is gone is waited for
/// in vain.
/// </summary>
internal static class Agreement
{
    private static readonly TimeSpan BetweenMeetings = TimeSpan.FromSeconds(2);

    private enum Kind
    {
        Titan,
        Disk,
        Corrupt,
        Other,
    }

    /// <summary>Runs <paramref name="body"/> on every rank.</summary>
    /// <returns>What it returned on each, in rank order; <typeparamref name="T"/> travels as JSON.</returns>
    /// <exception cref="TitanException">Or IOException, or CorruptCheckpointException: the failure of the lowest rank that failed, with its rank, on every rank.</exception>
    public static IReadOnlyList<T> All<T>(IProcessGroup world, Func<T> body)
    {
        if (world.Size == 1) return [body()];
        var (outcome, error) = Run(world, body);
        var outcomes = world.AllGatherObject(outcome);
        if (outcomes.FirstOrDefault(o => o.Failure is not null) is { Failure: { } failure }) throw ToException(failure, failure.Rank == world.Rank ? error : null);
        return [.. outcomes.Select(o => o.Value!)];
    }

    /// <summary>Runs <paramref name="body"/> on every rank, for what it does.</summary>
    /// <exception cref="TitanException">As <see cref="All{T}"/>.</exception>
    public static void All(IProcessGroup world, Action body) => All(world, () =>
    {
        body();
        return 0;
    });

    /// <summary>Runs <paramref name="body"/> on rank 0 alone.</summary>
    /// <returns>What it returned there, on every rank.</returns>
    /// <exception cref="TitanException">Or IOException, or CorruptCheckpointException: its failure, on every rank.</exception>
    public static T OnFirst<T>(IProcessGroup world, Func<T> body)
    {
        if (world.Size == 1) return body();
        var (outcome, error) = Run(world, world.Rank == 0 ? body : () => default!);
        outcome = world.BroadcastObject(outcome);
        return outcome.Failure is { } failure ? throw ToException(failure, error) : outcome.Value!;
    }

    /// <summary>Runs <paramref name="body"/> on rank 0 alone, for what it does; the others wait for it.</summary>
    /// <exception cref="TitanException">As <see cref="OnFirst{T}"/>.</exception>
    public static void OnFirst(IProcessGroup world, Action body) => OnFirst(world, () =>
    {
        body();
        return 0;
    });

    /// <summary>Runs <paramref name="body"/> beside this thread and returns when it has ended on every rank.</summary>
    private static (Outcome<T> Outcome, Exception? Error) Run<T>(IProcessGroup world, Func<T> body)
    {
        var running = Task.Factory.StartNew(() => Try(body, world.Rank), TaskCreationOptions.LongRunning);
        try
        {
            do _ = running.Wait(BetweenMeetings);
            while (!IsDoneOnAll(world, running.IsCompleted));
        }
        finally
        {
            // Where the others are gone: what it reads and writes must not go from under it.
            running.Wait();
        }

        return running.Result;
    }

    private static bool IsDoneOnAll(IProcessGroup world, bool isDone)
    {
        using var none = no_grad();
        using var done = tensor([isDone ? 1L : 0L]);
        world.AllReduce(done, ReduceOperation.Min);
        return done.data<long>()[0] == 1;
    }

    private static (Outcome<T> Outcome, Exception? Error) Try<T>(Func<T> body, int rank)
    {
        try
        {
            return (new Outcome<T>(body(), null), null);
        }
        catch (Exception e)
        {
            // Whatever it is, the others must hear of it.
            var failure = e switch
            {
                TitanException titan => new Failure(rank, Kind.Titan, titan.Code, titan.Message),
                IOException or UnauthorizedAccessException => new Failure(rank, Kind.Disk, ExitCode.Data, e.Message),
                CorruptCheckpointException => new Failure(rank, Kind.Corrupt, ExitCode.Data, e.Message),
                _ => new Failure(rank, Kind.Other, ExitCode.RunFailed, $"{e.GetType().Name}: {e.Message}"),
            };
            return (new Outcome<T>(default, failure), e);
        }
    }

    private static Exception ToException(Failure failure, Exception? own) => failure.Kind switch
    {
        Kind.Disk => new IOException($"rank {failure.Rank}: {failure.Message}", own),
        Kind.Corrupt => new CorruptCheckpointException(failure.Message),
        Kind.Titan => new TitanException(failure.Code, failure.Message, own),
        _ => new TitanException(failure.Code, $"rank {failure.Rank}: {failure.Message}", own),
    };

    private sealed record Failure(int Rank, Kind Kind, ExitCode Code, string Message);

    private sealed record Outcome<T>(T? Value, Failure? Failure);
}
