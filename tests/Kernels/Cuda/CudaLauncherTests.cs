using System.Runtime.InteropServices;
using Titan.Abstractions;
using Titan.Kernels.Casts;
using Titan.Kernels.Cuda;
using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Cuda;

/// <summary>The launcher before a stand-in for libcuda that writes down the calls and runs the kernels on the CPU.</summary>
public sealed unsafe class CudaLauncherTests : IDisposable
{
    private readonly string cache = Directory.CreateTempSubdirectory("titan-cache-").FullName;
    private readonly FakeCompiler compiler = new();
    private readonly string library = NativeBuild.Driver();
    private readonly nint handle;

    public CudaLauncherTests()
    {
        handle = NativeLibrary.Load(library);
        ((delegate* unmanaged<void>)NativeLibrary.GetExport(handle, "driver_forget"))();
    }

    public void Dispose() => Directory.Delete(cache, recursive: true);

    [FactWithTools("g++")]
    public void A_cast_is_compiled_for_the_device_loaded_once_and_launched_on_torchs_stream_in_the_primary_context()
    {
        using var scope = NewDisposeScope();
        var casts = new CudaCasts(Launcher());
        var x = Samples.Matrix(70, 40, ScalarType.BFloat16, 3);
        for (var i = 0; i < 2; i++)
            Samples.AssertSameCodes(CastKernels.Plain.Cast(x, tensor(2f), Float8Format.E5M2), casts.Cast(x, tensor(2f), Float8Format.E5M2));
        Samples.AssertSameFloats(x.abs().max().to(ScalarType.Float32), casts.Amax(x));
        // Null and several outputs travel too.
        Samples.AssertSameCodes(CastKernels.Plain.Cast(x.t(), tensor(2f), Float8Format.E5M2), casts.CastTransposed(x, tensor(2f), Float8Format.E5M2));

        Assert.Equal(["cast_rowmajor.cu sm_90", "amax_tensor.cu sm_90", "cast_transposed.cu sm_90"], compiler.Compiled);
        string[] expected =
        [
            "cuInit 0",
            "cuDeviceGet 0", "cuDevicePrimaryCtxRetain 100", "cuDeviceGetAttribute 16 of 100", "cuDeviceGetAttribute 97 of 100", "cuDeviceGetAttribute 75 of 100", "cuDeviceGetAttribute 76 of 100",
            "cuCtxSetCurrent 1600",
            "cuModuleLoadData image 1 of cast_rowmajor.cu for sm_90", "cuModuleGetFunction cast_rowmajor_bf16_e5m2",
            "cuLaunchKernel cast_rowmajor_bf16_e5m2 grid 1 1 1 block 256 1 1 shared 0 stream 4711",
            "cuLaunchKernel cast_rowmajor_bf16_e5m2 grid 1 1 1 block 256 1 1 shared 0 stream 4711",
            "cuModuleLoadData image 2 of amax_tensor.cu for sm_90", "cuModuleGetFunction amax_parts_bf16",
            "cuLaunchKernel amax_parts_bf16 grid 1 1 1 block 256 1 1 shared 0 stream 4711",
            "cuModuleGetFunction amax_finish", "cuLaunchKernel amax_finish grid 1 1 1 block 256 1 1 shared 0 stream 4711",
            "cuModuleLoadData image 3 of cast_transposed.cu for sm_90", "cuModuleGetFunction cast_transposed_bf16_e5m2",
            // A tile of bf16 is staged.
            "cuFuncSetAttribute 8 of cast_transposed_bf16_e5m2: 32768",
            "cuLaunchKernel cast_transposed_bf16_e5m2 grid 1 1 1 block 256 1 1 shared 32768 stream 4711",
        ];
        Assert.Equal(expected, Calls());
    }

    [FactWithTools("g++")]
    public void A_kernel_that_wants_more_shared_memory_than_any_block_has_is_allowed_it_once()
    {
        using var scope = NewDisposeScope();
        var launcher = Launcher();
        Assert.Equal(232448, launcher.SharedMemory(CPU));
        var ops = new CudaModelOps(launcher);
        Tensor labels = zeros(2, dtype: ScalarType.Int64);
        // 40,960 logits are five pieces of each of 1024 threads, 512 are one of each of 128.
        foreach (var classes in new long[] { 512, 40960, 40960 })
        {
            var logits = randn(2, classes).to(ScalarType.BFloat16);
            var expected = nn.functional.cross_entropy(logits.to(ScalarType.Float64), labels, null, -100, nn.Reduction.Sum).item<double>();
            Assert.Equal(expected, ops.CrossEntropy(logits, labels, 1, empty_like(logits)).Sum.item<float>(), 1e-5 * expected);
        }

        Assert.Equal(["cuFuncSetAttribute 8 of cross_entropy_bf16: 81920"], Calls().Where(c => c.StartsWith("cuFuncSetAttribute", StringComparison.Ordinal)));
        Assert.Equal(["shared 2048", "shared 81920", "shared 81920"], Calls().Where(c => c.Contains("cuLaunchKernel cross", StringComparison.Ordinal)).Select(c => c[c.IndexOf("shared", StringComparison.Ordinal)..c.IndexOf(" stream", StringComparison.Ordinal)]));
    }

    [FactWithTools("g++")]
    public void A_stopwatch_takes_its_time_from_two_events_of_torchs_stream_and_leaves_the_context_alone()
    {
        var driver = CudaDriver.Open(library);
        driver.Enter(777);
        var watch = new CudaStopwatch(driver, 0, () => 4711);
        watch.Start();
        Assert.False(watch.IsRunning);
        Assert.Equal(0.0125, watch.Stop(), 1e-9);
        Assert.True(watch.IsRunning);
        Assert.Equal(["cuEventRecord on stream 4711", "cuEventRecord on stream 4711"], Calls().Where(c => c.StartsWith("cuEventRecord", StringComparison.Ordinal)));
        Assert.Equal("cuCtxSetCurrent 777", Calls().Last(c => c.StartsWith("cuCtxSetCurrent", StringComparison.Ordinal)));
    }

    [FactWithTools("g++")]
    public void The_context_that_was_current_is_current_again_after_a_launch()
    {
        using var scope = NewDisposeScope();
        var casts = new CudaCasts(Launcher());
        ((delegate* unmanaged<nint, int>)NativeLibrary.GetExport(handle, "cuCtxSetCurrent"))(777);
        casts.Decode(ones(5).to(Float8Format.E4M3.Type));
        Assert.Equal(["cuCtxSetCurrent 777", "cuCtxSetCurrent 1600", "cuCtxSetCurrent 777"], Calls().Where(c => c.StartsWith("cuCtxSetCurrent", StringComparison.Ordinal)));
    }

    [FactWithTools("g++")]
    public void A_second_process_finds_the_compiled_kernels_on_disk()
    {
        using var scope = NewDisposeScope();
        new CudaCasts(Launcher()).Amax(ones(5));
        new CudaCasts(Launcher()).Amax(ones(5));
        Assert.Single(compiler.Compiled);
    }

    [FactWithTools("g++")]
    public void What_the_driver_refuses_is_named_with_the_drivers_own_error()
    {
        var launcher = Launcher();
        var none = Assert.Throws<TitanException>(() => launcher.Launch("decode", "no_such_kernel", CPU, new LaunchGrid(1, 1, 32, 1)));
        Assert.Contains("no_such_kernel", none.Message);
        Assert.Contains("CUDA_ERROR_NOT_FOUND (500)", none.Message);
        Assert.Equal(ExitCode.Hardware, none.Code);
        var device = Assert.Throws<TitanException>(() => CudaDriver.Open(library).Device(2));
        Assert.Contains("CUDA_ERROR_INVALID_DEVICE", device.Message);
    }

    [FactWithTools("g++")]
    public void The_driver_tells_a_devices_name_and_the_memory_in_use_and_the_current_context_stays()
    {
        var driver = CudaDriver.Open(library);
        Assert.Equal("Emulated GPU 1", driver.Name(driver.Device(1)));
        driver.Enter(777);
        Assert.Equal((5L << 30, 8L << 30), new CudaMemory(driver, 1).Read());
        Assert.Equal(["cuCtxSetCurrent 777", "cuCtxSetCurrent 1616", "cuCtxSetCurrent 777"], Calls().Where(c => c.StartsWith("cuCtxSetCurrent", StringComparison.Ordinal)));
    }

    [FactWithTools("g++")]
    public void A_machine_without_a_driver_is_told_so() =>
        Assert.Contains("no NVIDIA driver", Assert.Throws<TitanException>(() => CudaDriver.Open("libcuda-that-is-not-there.so.1")).Message);

    [FactWithTools("g++")]
    public void A_tensor_on_the_wrong_device_is_refused_before_anything_is_launched()
    {
        using var scope = NewDisposeScope();
        var casts = new CudaCasts(Launcher(DeviceType.CUDA));
        Assert.Contains("expected a CUDA tensor", Assert.Throws<ArgumentException>(() => casts.Amax(ones(3))).Message);
        Assert.DoesNotContain(Calls(), c => c.StartsWith("cuLaunchKernel", StringComparison.Ordinal));
    }

    private CudaLauncher Launcher(DeviceType type = DeviceType.CPU) => new(CudaDriver.Open(library), new KernelCache(compiler, cache), _ => 4711, type);

    private string[] Calls() =>
        Marshal.PtrToStringUTF8((nint)((delegate* unmanaged<byte*>)NativeLibrary.GetExport(handle, "driver_calls"))())!.Split('\n', StringSplitOptions.RemoveEmptyEntries);
}
