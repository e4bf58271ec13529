namespace Titan.Kernels.Cuda;

/// <summary>This process's launcher: one driver, one cache, one set of loaded modules.</summary>
internal static class CudaKernels
{
    private static Lazy<IKernelLauncher> instance =
        new(() => new CudaLauncher(CudaDriver.Open(), new KernelCache(NvrtcCompiler.Load(), KernelCache.DefaultFolder), TorchStream.Current));

    /// <summary>Made when first asked for.</summary>
    public static IKernelLauncher Launcher => instance.Value;

    /// <summary>Takes another launcher for the rest of the process, before the first launch: tests run on the CPU what a GPU would run.</summary>
    public static void Use(IKernelLauncher launcher)
    {
        if (instance.IsValueCreated) throw new InvalidOperationException("the launcher of this process is in use already");
        instance = new Lazy<IKernelLauncher>(launcher);
    }
}
