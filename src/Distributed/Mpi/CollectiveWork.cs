using System.Diagnostics;
using System.Runtime.ExceptionServices;
using Titan.Abstractions;
using Titan.Distributed.Collectives;

namespace Titan.Distributed.Mpi;

/// <summary>Something for the communication thread to do, and for others to wait for.</summary>
internal class CommunicationJob(string what, Action action)
{
    private readonly object gate = new();
    private bool done;
    private Exception? failure;

    /// <summary>For messages: what is under way.</summary>
    public string What => what;

    public void Run() => action();

    public void Join()
    {
        // Not a spinning wait: the thread that is waited for needs the core.
        lock (gate)
            while (!done)
                Monitor.Wait(gate);
        if (failure is not null) ExceptionDispatchInfo.Throw(failure);
    }

    public virtual void Finish(Exception? error)
    {
        lock (gate)
        {
            (failure, done) = (error, true);
            Monitor.PulseAll(gate);
        }
    }

    protected bool Done
    {
        get
        {
            lock (gate) return done;
        }
    }
}

/// <summary>A collective in the queue, under way, or done. Holds the tensors until then.</summary>
internal sealed class CollectiveWork(MpiCommunicator communicator, CollectiveCall call, TensorStorage[] tensors, CommunicationCounter counter, Action action)
    : CommunicationJob(call.ToString(), action), IWork
{
    public MpiCommunicator Communicator => communicator;

    public CollectiveCall Call => call;

    /// <summary>Time from its start on this rank until the last rank had started it; null where the ranks do not tell each other.</summary>
    public long? LateTicks { get; set; }

    public void Wait()
    {
        if (Done)
        {
            Join();
            return;
        }

        var start = Stopwatch.GetTimestamp();
        try
        {
            Join();
        }
        finally
        {
            counter.AddWaitTicks(Stopwatch.GetTimestamp() - start);
        }
    }

    public override void Finish(Exception? error)
    {
        // After an error MPI may still write into the tensors: their memory is never given back.
        if (error is null)
        {
            foreach (var tensor in tensors) tensor.Dispose();
            communicator.Complete(call);
        }

        base.Finish(error);
    }
}
