using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using Titan.Abstractions;
using Titan.Distributed.Collectives;
using Titan.Distributed.Launch;

namespace Titan.Distributed.Mpi;

/// <summary>
/// The one thread that calls MPI: starts it, runs collectives one after the other in the order in which they were asked for, answers other ranks' questions in between, and ends it.
/// </summary>
internal sealed class CommunicationThread
{
    private const string ThisRank = "this rank";

    private readonly CommunicationQueue queue = new();
    private readonly CommunicatorTable communicators = new();
    private readonly LastWords words;
    private readonly DistributedOptions options;
    private readonly StuckAlarm alarm;
    private readonly Thread thread;
    private readonly TerminationNotice notice;
    private long timeoutTicks;
    private volatile bool hasJoined;

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
        const string start = "the start of MPI";
        var started = queue.Add(start, () => new CommunicationJob(start, () => Initialize(load())));
        thread = new Thread(Loop) { IsBackground = true, Name = "titan communication" };
        alarm = new StuckAlarm("MPI_Init", () => Timeout, () => ranks?.Me ?? ThisRank, words);
        notice = new TerminationNotice(() => !hasJoined, () => watchdog?.Pending, () => ranks?.Me ?? ThisRank, words);
        thread.Start();
        try
        {
            using var siblings = Siblings.Watch(message =>
            {
                words.Say(message);
                NativeProcess.ExitNow((int)ExitCode.RunFailed);
            });
            started.Join();
            hasJoined = true;
        }
        catch
        {
            alarm.Dispose();
            notice.Dispose();
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
    /// <param name="comm">Where.</param>
    /// <param name="request">What is called.</param>
    /// <param name="tensors">What is held until it is done.</param>
    /// <param name="action">What to do; told whether the ranks compare this call.</param>
    public CollectiveWork Enqueue(MpiCommunicator comm, CallRequest request, TensorStorage[] tensors, Action<CollectiveCall, bool> action) =>
        queue.Add($"{request.Verb.Text()} in group '{request.Group}' on {ranks.Me}", () =>
        {
            var call = comm.Add(request);
            Counter.Record(request.Verb, request.Group, comm.Size, request.Bytes, request.Sent);
            CollectiveWork? work = null;
            return work = new CollectiveWork(comm, call, tensors, Counter, () =>
            {
                var compared = call.Peers is null && call.Number <= options.VerifiedCalls;
                if (compared)
                {
                    var start = Stopwatch.GetTimestamp();
                    CallAgreement.Verify(transfers, comm, call, ranks);
                    work!.LateTicks = Stopwatch.GetTimestamp() - start;
                }

                action(call, compared);
            });
        });

    /// <summary>Messages between pairs of ranks.</summary>
    public CollectiveWork Enqueue(MpiCommunicator comm, CallRequest request, TensorStorage[] tensors, Message[] messages) =>
        Enqueue(comm, request, tensors, (call, _) => MessageAgreement.Exchange(transfers, comm, call, messages, options.VerifiedCalls, ranks));

    /// <summary>Runs something on the thread and waits for it.</summary>
    public void Run(string what, Action action) => queue.Add($"{what} on {ranks.Me}", () => new CommunicationJob(what, action)).Join();

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
        if (!queue.IsOpen) return;
        Run("MPI_Finalize", () =>
        {
            queue.End();
            exchange.Drain();
            mpi.Complete();
        });
        thread.Join();
        alarm.Dispose();
        notice.Dispose();
        transfers.Dispose();
    }

    /// <summary>Ends the whole job. The message is on stderr before.</summary>
    [DoesNotReturn]
    public void Abort(ExitCode code, string message)
    {
        words.Say(message);
        if (queue.HasEnded) NativeProcess.ExitNow((int)code);
        words.AskToEnd(code);
        queue.Wake();
        // The thread does it within a sleep, unless it is stuck inside MPI.
        if (Thread.CurrentThread != thread) Thread.Sleep(2000);
        words.End(code);
    }

    private void Initialize(MpiLibrary library)
    {
        words.Library = mpi = library;
        mpi.Initialize();
        ranks = RankDirectory.Gather(mpi);
        Version = mpi.Version();
        Local = mpi.Position(mpi.SplitByMachine(mpi.World));
        exchange = new ProgressExchange(mpi, mpi.Split(mpi.World, 0, ranks.Rank), communicators.Find, () => watchdog.Pending?.Communicator);
        watchdog = new Watchdog(exchange, ranks, () => Timeout, communicators.Name, words);
        transfers = new MpiTransfers(mpi, Check);
        communicators.Add("world", mpi.Split(mpi.World, 0, ranks.Rank), ranks.Rank, [.. Enumerable.Range(0, ranks.World)]);
    }

    private void Loop()
    {
        while (Next() is { } job)
        {
            alarm.Begin(job.What);
            var error = Execute(job);
            alarm.End();
            if (error is not null) queue.Fail(error);
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
            return new TitanException(ExitCode.RunFailed, $"{job.What} failed on {ranks?.Me ?? ThisRank}: {e.Message}", e);
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
            if (queue.TryTake(idle, out var job)) return job;
            try
            {
                Check();
            }
            catch (MpiException e)
            {
                queue.Fail(new TitanException(ExitCode.RunFailed, $"communication failed between two collectives on {ranks.Me}: {e.Message}", e));
            }
        }
    }

    private void Check()
    {
        alarm.Beat();
        words.EndIfAsked();
        if (!queue.HasFailed) watchdog?.Check();
    }
}
