using Titan.Abstractions;
using Titan.Benchmarks;
using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using Titan.Quantization.Measurement;
using Titan.Training.Loop;
using static TorchSharp.torch;

namespace Titan.Host.Tests.Bench;

/// <summary>Both sides of each case compute the same; a ratio of two different things would say nothing.</summary>
public sealed class KernelCaseTests
{
    private const long Small = 8 * KernelInputs.Multiple;

    public static TheoryData<string> Names => [.. KernelCase.All.Select(c => c.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void The_kernel_and_the_ATen_chain_compute_the_same(string name) => Assert.Null(KernelCheck.Difference(Case(name), TrainingDevice.Cpu));

    [Theory]
    [InlineData("cast per row bf16 -> e4m3")]
    [InlineData("MX blocks along columns bf16 -> e4m3")]
    [InlineData("RMSNorm bf16, forward and backward")]
    [InlineData("rotary bf16, forward and backward")]
    [InlineData("cross-entropy bf16, forward and backward")]
    public void They_do_so_with_other_columns_too(string name) => Assert.Null(KernelCheck.Difference(Case(name), TrainingDevice.Cpu, 4096));

    [Fact]
    public void Sides_that_compute_different_things_are_told_apart()
    {
        AssertDiffers("RMSNorm bf16, forward and backward", w => w with { Fused = () => Replaced(w.Fused(), 1, g => g * 1.05) });
        AssertDiffers("rotary bf16, forward", w => w with { Fused = () => Replaced(w.Fused(), 0, y => y.roll(1, 1)) });
        AssertDiffers("SwiGLU bf16, forward and backward", w => w with { Fused = () => { var r = w.Fused(); return [r[0], r[2], r[1]]; } });
        AssertDiffers("cross-entropy bf16, forward and backward", w => w with { Fused = () => [w.Fused()[0]] });
        AssertDiffers("cross-entropy bf16, forward", w => w with { Fused = () => Replaced(w.Fused(), 0, loss => loss / Small) });
        // A single element off by one code.
        AssertDiffers("cast bf16 -> e4m3", w => w with { Fused = () => Replaced(w.Fused(), 0, y => { AtenGateway.ViewDtype(y, ScalarType.Byte).view(-1)[7].add_(1); return y; }) });
        AssertDiffers("rescale bf16, per row and column", w => w with { Fused = () => [w.Reads[0]] });
        AssertDiffers("decode e4m3 -> fp32", w => w with { Fused = () => Replaced(w.Fused(), 0, y => y.to(ScalarType.BFloat16)) });
    }

    [Theory]
    [InlineData("amax bf16", 2 * Small + 4)]
    [InlineData("cast bf16 -> e4m3", 2 * Small + 4 + Small)]
    [InlineData("cast fp32 -> e4m3", 4 * Small + 4 + Small)]
    [InlineData("MX blocks along columns bf16 -> e4m3", 2 * Small + Small + Small / 32)]
    [InlineData("decode e4m3 -> fp32", Small + 4 * Small)]
    [InlineData("RMSNorm bf16, forward", 2 * (2 * Small + 1024))]
    [InlineData("RMSNorm bf16, forward and backward", 2 * (5 * Small + 3 * 1024))]
    [InlineData("rotary bf16, forward", 2 * 2 * Small + 2 * 4 * 256 * 64)]
    [InlineData("rotary bf16, forward and backward", 2 * (2 * 2 * Small + 2 * 4 * 256 * 64))]
    [InlineData("SwiGLU bf16, forward", 2 * 3 * Small)]
    [InlineData("SwiGLU bf16, forward and backward", 2 * 8 * Small)]
    [InlineData("cross-entropy bf16, forward", 2 * Small + 8 * 8 + 4)]
    [InlineData("cross-entropy bf16, forward and backward", 2 * 2 * Small + 8 * 8 + 4 + 4)]
    [InlineData("cross-entropy of 128256 words bf16, forward", 2 * 2 * 128256 + 2 * 8 + 4)]
    public void Bytes_are_those_that_must_be_moved(string name, long bytes)
    {
        using var inputs = new KernelInputs(Small, Case(name).Type, TrainingDevice.Cpu);
        Assert.Equal(bytes, Case(name).Prepare(inputs).Bytes());
    }

    [Theory]
    [InlineData(1, "98.3")]
    [InlineData(10, "983")]
    public void A_kernel_as_fast_as_the_copy_reaches_all_of_its_bandwidth(int calls, string rate)
    {
        using var progress = new BenchProgress(1);
        var table = new KernelBench(new InterleavedTimer(new MicrosecondPerReading(), 1, 3), TrainingDevice.Cpu, calls).Fused([Case("cast bf16 -> e4m3")], [KernelInputs.Multiple], progress);
        var row = Assert.Single(table.Rows);
        Assert.Equal(table.Columns.Count, row.Count);
        // 98,308 bytes for each call, and a microsecond for all calls of a timing.
        Assert.Equal(["0.10", rate, rate, "100 %"], new[] { "MB moved at least", "fused, GB/s", "copy, GB/s", "fused / copy" }.Select(c => row[table.Columns.ToList().IndexOf(c)]));
    }

    [Fact]
    public void Logits_that_are_not_all_of_the_matrix_count_by_themselves()
    {
        using var progress = new BenchProgress(1);
        var table = new KernelBench(new InterleavedTimer(new MicrosecondPerReading(), 1, 3), TrainingDevice.Cpu).Fused([Case("cross-entropy of 128256 words bf16, forward")], [KernelInputs.Multiple], progress);
        // One row in a microsecond.
        Assert.Equal(["128", "128"], new[] { "ATen chain, Gelem/s", "fused, Gelem/s" }.Select(c => table.Rows.Single()[table.Columns.ToList().IndexOf(c)]));
    }

    [Fact]
    public void On_a_GPU_the_fused_casts_are_the_CUDA_kernels()
    {
        Assert.Same(CastKernels.Cuda, KernelInputs.FusedOn(new TrainingDevice(new Device(TorchSharp.DeviceType.CUDA, 0), new DeviceCapability(true, 9, 0))));
        Assert.Same(CastKernels.Fused, KernelInputs.FusedOn(TrainingDevice.Cpu));
    }

    private static KernelCase Case(string name) => KernelCase.All.Single(c => c.Name == name);

    private static void AssertDiffers(string name, Func<KernelWork, KernelWork> change)
    {
        var one = Case(name);
        Assert.NotNull(KernelCheck.Difference(one with { Prepare = i => change(one.Prepare(i)) }, TrainingDevice.Cpu));
    }

    private static IReadOnlyList<Tensor> Replaced(IReadOnlyList<Tensor> results, int index, Func<Tensor, Tensor> by) => [.. results.Select((r, i) => i == index ? by(r) : r)];

    /// <summary>Each reading is a microsecond after the one before.</summary>
    private sealed class MicrosecondPerReading : TimeProvider
    {
        private long readings;

        public override long TimestampFrequency => 1_000_000;

        public override long GetTimestamp() => readings++;
    }
}
