using Titan.Abstractions;

namespace Titan.Distributed.Mpi;

/// <summary>What the communication thread is to do, in the order in which it was asked for, until communication ends or has failed.</summary>
internal sealed class CommunicationQueue
{
    private readonly object gate = new();
    private readonly Queue<CommunicationJob> jobs = new();
    private TitanException? failure;
    private bool ended;

    /// <summary>Whether jobs are taken.</summary>
    public bool IsOpen
    {
        get
        {
            lock (gate) return failure is null && !ended;
        }
    }

    public bool HasEnded
    {
        get
        {
            lock (gate) return ended;
        }
    }

    public bool HasFailed => Volatile.Read(ref failure) is not null;

    /// <summary>Adds a job.</summary>
    /// <param name="what">For the error: what is asked for, and where.</param>
    /// <param name="make">Makes it. No other is made meanwhile, so that collectives are numbered in the order of the queue.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.RunFailed"/> when communication has ended or failed.</exception>
    public T Add<T>(string what, Func<T> make)
        where T : CommunicationJob
    {
        lock (gate)
        {
            if (failure is not null || ended) throw new TitanException(ExitCode.RunFailed, $"{what}: communication has ended" + (failure is null ? "" : $" with: {failure.Message}"));
            var job = make();
            jobs.Enqueue(job);
            Monitor.PulseAll(gate);
            return job;
        }
    }

    /// <summary>The next job, waiting for it for a while.</summary>
    /// <param name="milliseconds">How long.</param>
    /// <param name="job">The job; null when there will be no more.</param>
    /// <returns>False when none came in time.</returns>
    public bool TryTake(int milliseconds, out CommunicationJob? job)
    {
        lock (gate)
        {
            if (jobs.TryDequeue(out job) || ended) return true;
            Monitor.Wait(gate, milliseconds);
            return jobs.TryDequeue(out job);
        }
    }

    /// <summary>Lets whoever waits in <see cref="TryTake"/> look around.</summary>
    public void Wake()
    {
        lock (gate) Monitor.PulseAll(gate);
    }

    /// <summary>Takes no more jobs.</summary>
    public void End()
    {
        lock (gate) ended = true;
    }

    /// <summary>Takes no more jobs, and fails those that wait. The first failure is the one that later callers hear of.</summary>
    public void Fail(TitanException error)
    {
        CommunicationJob[] rest;
        lock (gate)
        {
            failure ??= error;
            rest = [.. jobs];
            jobs.Clear();
        }

        foreach (var job in rest) job.Finish(error);
    }
}
