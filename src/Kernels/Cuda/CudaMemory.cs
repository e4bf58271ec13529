using Titan.Abstractions;

namespace Titan.Kernels.Cuda;

/// <summary>
/// The memory of a GPU as its driver counts it: what all processes hold. libtorch's allocator keeps what it once had for reuse, so after a step this is about the most that the
/// run has needed so far, with the contexts and libraries of CUDA.
/// </summary>
public sealed class CudaMemory
{
    private readonly CudaDriver driver;
    private readonly nint context;

    internal CudaMemory(CudaDriver driver, int ordinal)
    {
        this.driver = driver;
        context = driver.PrimaryContext(driver.Device(ordinal));
    }

    /// <summary>The memory of a GPU.</summary>
    /// <param name="ordinal">Its number, as torch counts.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Hardware"/> when the driver does not answer.</exception>
    public static CudaMemory Of(int ordinal) => new(CudaDriver.Open(), ordinal);

    /// <summary>Bytes in use now, and all there are.</summary>
    public (long InUse, long Total) Read()
    {
        var previous = driver.Enter(context);
        try
        {
            var (free, total) = driver.Memory();
            return (total - free, total);
        }
        finally
        {
            if (previous != 0) driver.Enter(previous);
        }
    }
}
