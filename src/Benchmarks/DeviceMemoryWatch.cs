namespace Titan.Benchmarks;

/// <summary>
/// The most memory of a GPU that is seen in use, by its driver: read every few milliseconds until it is paused, and at every mark. libtorch's own count of its peak is not to be had from
/// C# (docs/cuda.md); its allocator keeps what it once had, so a reading after a step misses only what it gave back to the driver in between.
/// </summary>
internal sealed class DeviceMemoryWatch : IDisposable
{
    private static readonly TimeSpan Between = TimeSpan.FromMilliseconds(5);
    private readonly Func<double> read;
    private readonly List<double> marks = [];
    private readonly ManualResetEventSlim paused = new();
    private readonly Thread thread;
    private readonly Lock gate = new();
    private double highest;

    /// <summary>Begins to read.</summary>
    /// <param name="read">GiB in use; called on another thread too.</param>
    public DeviceMemoryWatch(Func<double> read)
    {
        this.read = read;
        // A driver that does not answer is an error here, not on the thread.
        Read();
        thread = new Thread(() =>
        {
            while (!paused.Wait(Between)) Read();
        }) { IsBackground = true, Name = "device memory" };
        thread.Start();
    }

    /// <summary>The readings at the marks, in GiB.</summary>
    public IReadOnlyList<double> Marks => marks;

    /// <summary>The highest reading so far, in GiB.</summary>
    public double Highest
    {
        get
        {
            lock (gate) return highest;
        }
    }

    /// <summary>Reads now, and keeps the reading.</summary>
    public void Mark() => marks.Add(Read());

    /// <summary>Reads at marks only from now on.</summary>
    public void Pause()
    {
        paused.Set();
        thread.Join();
    }

    /// <inheritdoc />
    public void Dispose()
    {
        Pause();
        paused.Dispose();
    }

    private double Read()
    {
        var now = read();
        lock (gate) highest = Math.Max(highest, now);
        return now;
    }
}
