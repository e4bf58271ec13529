namespace Titan.Training.Loop;

/// <summary>Reading that a stop need not wait for: a file on a disk that does not answer, or one that is damaged, may hold its reader for minutes, or for ever.</summary>
internal static class Interruptible
{
    /// <summary>Reads on another thread; after a stop that thread is left behind, and what it reads from must not be used again.</summary>
    /// <param name="read">What to read.</param>
    /// <param name="stop">The run's.</param>
    /// <param name="value">What was read.</param>
    /// <returns>False when a stop was asked for first.</returns>
    public static bool TryRun<T>(Func<T> read, CancellationToken stop, out T value)
    {
        value = default!;
        if (!stop.CanBeCanceled)
        {
            value = read();
            return true;
        }

        var reading = Task.Run(read);
        var done = ((IAsyncResult)reading).AsyncWaitHandle;
        if (!reading.IsCompleted && WaitHandle.WaitAny([done, stop.WaitHandle]) == 1) return false;
        value = reading.GetAwaiter().GetResult();
        return true;
    }
}
