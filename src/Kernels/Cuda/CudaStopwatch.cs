using Titan.Abstractions;

namespace Titan.Kernels.Cuda;

/// <summary>Seconds between two points of torch's current stream, on the device's clock: what the host does meanwhile does not count.</summary>
public sealed class CudaStopwatch
{
    private readonly CudaDriver driver;
    private readonly Func<nint> stream;
    private readonly nint context, first, second;

    internal CudaStopwatch(CudaDriver driver, int ordinal, Func<nint> stream)
    {
        (this.driver, this.stream) = (driver, stream);
        context = driver.PrimaryContext(driver.Device(ordinal));
        (first, second) = Inside(() => (driver.NewEvent(), driver.NewEvent()));
    }

    /// <summary>For a GPU.</summary>
    /// <param name="ordinal">Its number, as torch counts.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Hardware"/> when the driver does not answer.</exception>
    public static CudaStopwatch Of(int ordinal) => new(CudaDriver.Open(), ordinal, () => TorchStream.Current(ordinal));

    /// <summary>Whether the device has come to where <see cref="Start"/> was called.</summary>
    public bool IsRunning => Inside(() => driver.HasPassed(first));

    /// <summary>Queues the first point.</summary>
    public void Start() => Inside(() =>
    {
        driver.Record(first, stream());
        return 0;
    });

    /// <summary>Queues the second point and waits for it.</summary>
    /// <returns>Seconds from the first.</returns>
    public double Stop() => Inside(() =>
    {
        driver.Record(second, stream());
        return driver.SecondsBetween(first, second);
    });

    private T Inside<T>(Func<T> work)
    {
        var previous = driver.Enter(context);
        try
        {
            return work();
        }
        finally
        {
            if (previous != 0) driver.Enter(previous);
        }
    }
}
