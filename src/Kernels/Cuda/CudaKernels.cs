namespace Titan.Kernels.Cuda;

/// <summary>This process's launcher: one driver, one cache, one set of loaded modules.</summary>
internal static class CudaKernels
{
    private static readonly Lazy<IKernelLauncher> Instance =
        new(() => new CudaLauncher(CudaDriver.Open(), new KernelCache(NvrtcCompiler.Load(), KernelCache.DefaultFolder), TorchStream.Current));

    /// <summary>Made when first asked for.</summary>
    public static IKernelLauncher Launcher => Instance.Value;
}
