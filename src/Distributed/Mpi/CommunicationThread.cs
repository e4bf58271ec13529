using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Titan.Abstractions;
using Titan.Distributed.Launch;

namespace Titan.Distributed.Mpi;

/// <summary>
/// The one thread that calls MPI: starts it, runs collectives one after the other in the order in which they were asked for, answers other ranks' questions in between, and ends it.
/// </summary>
internal sealed class CommunicationThread
{
    private static readonly TimeSpan StuckGrace = TimeSpan.FromSeconds(10), NoteworthyWait = TimeSpan.FromMilliseconds(100);

    private readonly object gate = new();
    private readonly Queue<CommunicationJob> queue = new();
    private readonly CommunicatorTable communicators = new();
    private readonly LastWords words;
    private readonly DistributedOptions options;
    private readonly Timer stuck;
    private readonly Thread thread;
    private readonly PosixSignalRegistration terminated;
    private long timeoutTicks, beat = Stopwatch.GetTimestamp();
    private string doing = "MPI_Init";
    private TitanException? failure;
    private int abortCode = -1;
    private bool ended;

    // Set by the thread itself before it reports that it has started.
    private MpiLibrary mpi = null!;
    private RankDirectory ranks = null!;
    private MpiTransfers transfers = null!;
    private Watchdog watchdog = null!;
    private ProgressExchange exchange = null!;

    private CommunicationThread(Func<MpiLibrary> load, DistributedOptions options)
    {
        this.options = options;
        words = new LastWords(options.Error);
        Timeout = options.InitTimeout;
        var started = new CommunicationJob("the start of MPI", () => Initialize(load()));
        queue.Enqueue(started);
        thread = new Thread(Loop) { IsBackground = true, Name = "titan communication" };
        stuck = new Timer(_ => EndIfStuck(), null, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1));
        // A launcher that lost a rank ends the others like this: say what they were waiting in. What the signal does otherwise is not changed.
        terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, _ => SayPending());
        thread.Start();
        try
        {
            started.Join();
        }
        catch
        {
            stuck.Dispose();
            terminated.Dispose();
            throw;
        }
    }

    public CommunicationCounter Counter { get; } = new();

    public RankDirectory Ranks => ranks;

    public string Version { get; private set; } = "";

    /// <summary>Position among the ranks of this machine, and their number.</summary>
    public (int Rank, int Size) Local { get; private set; }

    public MpiCommunicator WorldCommunicator => communicators.Find(0)!;

    public MpiTransfers Transfers => transfers;

    public MpiLibrary Mpi => mpi;

    public TimeSpan Timeout
    {
        get => TimeSpan.FromTicks(Interlocked.Read(ref timeoutTicks));
        set => Interlocked.Exchange(ref timeoutTicks, value.Ticks);
    }

    public static CommunicationThread Start(Func<MpiLibrary> load, DistributedOptions options) => new(load, options);

    /// <summary>Puts a collective into the queue.</summary>
    public CollectiveWork Enqueue(
        MpiCommunicator comm, string group, Verb verb, int type, long bytes, int detail, TensorStorage[] tensors, Action action)
    {
        lock (gate)
        {
            if (failure is not null || ended)
                throw new TitanException(ExitCode.RunFailed, $"{verb.Text()} in group '{group}' on {ranks.Me}: communication has ended" + (failure is null ? "" : $" with: {failure.Message}"));
            var call = comm.Add(verb, group, type, bytes, detail);
            CollectiveWork? work = null;
            work = new CollectiveWork(comm, call, tensors, Counter, () =>
            {
                if (call.Number <= options.VerifiedCalls)
                {
                    var start = Stopwatch.GetTimestamp();
                    CallAgreement.Verify(transfers, comm, call, ranks);
                    work!.LateTicks = Stopwatch.GetTimestamp() - start;
                }

                action();
            });
            Counter.Record(verb, group, comm.Size, bytes);
            queue.Enqueue(work);
            Monitor.PulseAll(gate);
            return work;
        }
    }

    /// <summary>Runs something on the thread and waits for it.</summary>
    public void Run(string what, Action action)
    {
        var job = new CommunicationJob(what, action);
        lock (gate)
        {
            if (failure is not null || ended) throw new TitanException(ExitCode.RunFailed, $"{what} on {ranks.Me}: communication has ended" + (failure is null ? "" : $" with: {failure.Message}"));
            queue.Enqueue(job);
            Monitor.PulseAll(gate);
        }

        job.Join();
    }

    /// <summary>A communicator of the ranks with the same colour. Every rank calls it in the same order.</summary>
    public MpiCommunicator Split(string name, int color, int[] members)
    {
        MpiCommunicator? made = null;
        Run($"the creation of group '{name}'", () => made = communicators.Add(name, mpi.Split(mpi.World, color, ranks.Rank), Array.IndexOf(members, ranks.Rank), members));
        return made!;
    }

    /// <summary>Watches collectives that do not run on this thread.</summary>
    public void Watch(Func<PendingCollective?> oldest) => watchdog.Watch(oldest);

    /// <summary>Waits for what is queued, then ends MPI. Every rank calls it.</summary>
    public void Complete()
    {
        lock (gate)
            if (failure is not null || ended) return;
        Run("MPI_Finalize", () =>
        {
            lock (gate) ended = true;
            exchange.Drain();
            mpi.Complete();
        });
        thread.Join();
        stuck.Dispose();
        terminated.Dispose();
        transfers.Dispose();
    }

    /// <summary>Ends the whole job. The message is on stderr before.</summary>
    [DoesNotReturn]
    public void Abort(ExitCode code, string message)
    {
        words.Say(message);
        lock (gate)
            if (ended) NativeProcess.ExitNow((int)code);
        Volatile.Write(ref abortCode, (int)code);
        lock (gate) Monitor.PulseAll(gate);
        // The thread does it within a sleep, unless it is stuck inside MPI.
        if (Thread.CurrentThread != thread) Thread.Sleep(2000);
        LastWords.End(mpi, (int)code);
    }

    private void Initialize(MpiLibrary library)
    {
        mpi = library;
        mpi.Initialize();
        ranks = RankDirectory.Gather(mpi);
        Version = mpi.Version();
        Local = mpi.Position(mpi.SplitByMachine(mpi.World));
        exchange = new ProgressExchange(mpi, mpi.Split(mpi.World, 0, ranks.Rank), communicators.Find, () => watchdog.Pending?.Communicator);
        watchdog = new Watchdog(exchange, ranks, () => Timeout, communicators.Name, GiveUp);
        transfers = new MpiTransfers(mpi, Check);
        communicators.Add("world", mpi.Split(mpi.World, 0, ranks.Rank), ranks.Rank, [.. Enumerable.Range(0, ranks.World)]);
    }

    private void Loop()
    {
        while (Next() is { } job)
        {
            Volatile.Write(ref doing, job.What);
            var error = Execute(job);
            Volatile.Write(ref doing, "");
            if (error is not null) Fail(error);
            job.Finish(error);
            if (error is not null && mpi is null) return;
        }
    }

    private TitanException? Execute(CommunicationJob job)
    {
        var start = Stopwatch.GetTimestamp();
        var work = job as CollectiveWork;
        try
        {
            if (work is not null) watchdog.Begin(work);
            job.Run();
            return null;
        }
        catch (TitanException e)
        {
            return e;
        }
        catch (Exception e)
        {
            return new TitanException(ExitCode.RunFailed, $"{job.What} failed on {ranks?.Me ?? "this rank"}: {e.Message}", e);
        }
        finally
        {
            if (work is not null)
            {
                watchdog.End();
                Counter.AddCollectiveTicks(work.Call.Verb, work.Call.Group, Stopwatch.GetTimestamp() - start, work.LateTicks);
            }
        }
    }

    private CommunicationJob? Next()
    {
        // Between collectives MPI still needs to be called now and then: to send what it has buffered, and to hear questions.
        for (var idle = 1; ; idle = Math.Min(idle * 2, 50))
        {
            lock (gate)
            {
                if (queue.TryDequeue(out var job)) return job;
                if (ended) return null;
                Monitor.Wait(gate, idle);
                if (queue.TryDequeue(out job)) return job;
            }

            try
            {
                Check();
            }
            catch (MpiException e)
            {
                Fail(new TitanException(ExitCode.RunFailed, $"communication failed between two collectives on {ranks.Me}: {e.Message}", e));
            }
        }
    }

    private void Check()
    {
        Interlocked.Exchange(ref beat, Stopwatch.GetTimestamp());
        if (Volatile.Read(ref abortCode) is >= 0 and var code) LastWords.End(mpi, code);
        if (failure is null) watchdog?.Check();
    }

    private void Fail(TitanException error)
    {
        CommunicationJob[] rest;
        lock (gate)
        {
            failure ??= error;
            rest = [.. queue];
            queue.Clear();
        }

        foreach (var job in rest) job.Finish(error);
    }

    private void GiveUp(string message)
    {
        words.Say(message);
        // The other ranks are about to say the same of themselves: let them, and answer what they ask.
        for (var i = 0; i < 15; i++)
        {
            exchange.Poll();
            Thread.Sleep(20);
        }

        LastWords.End(mpi, (int)ExitCode.RunFailed);
    }

    private void SayPending()
    {
        if (watchdog?.Pending is { } pending && Stopwatch.GetElapsedTime(pending.StartedAt) is var waited && waited > NoteworthyWait)
            words.Say($"{ranks.Me} was told to end (SIGTERM) while it waited in {pending.Call}, for {Quantities.Seconds(waited.TotalSeconds)}");
    }

    /// <summary>For calls that block inside MPI (start, groups, end), where the watchdog does not get to look.</summary>
    private void EndIfStuck()
    {
        var what = Volatile.Read(ref doing);
        if (what.Length == 0 || Stopwatch.GetElapsedTime(Interlocked.Read(ref beat)) is var silent && silent < Timeout + StuckGrace) return;
        words.Say($"{what} has not returned for {Quantities.Seconds(silent.TotalSeconds)} on {ranks?.Me ?? "this rank"}: another rank has not come so far, or a link is down. The job ends");
        LastWords.End(mpi, (int)ExitCode.RunFailed);
    }
}
