using System.CommandLine;
using Titan.Abstractions;
using Titan.Benchmarks;
using Titan.Host.Commands;
using Titan.Host.Jobs;
using Titan.Quantization.Measurement;
using Titan.Training.Loop;
using Titan.Training.Metrics;
using static TorchSharp.torch;

namespace Titan.Host.Tests.Bench;

/// <summary>What the benchmarks do on a GPU, up to the device: on a machine without one nothing else would notice that they fail there.</summary>
[Collection(OneGpu.Name)]
public sealed class GpuPathTests : IDisposable
{
    private static readonly StepModel Tiny = new(64, 1, 2, 1, 96, 128, 32, 1);
    private readonly string folder = Directory.CreateTempSubdirectory("titan-gpu-path").FullName;

    public void Dispose() => Directory.Delete(folder, true);

    [FactWithTools("g++")]
    public void Kernels_are_compared_and_timed_with_the_GPUs_own()
    {
        _ = EmulatedGpu.Launched();
        var text = Bench("kernels", "--kernels", "amax per row,cast bf16 -> e4m3,MX blocks along rows bf16,decode e4m3 -> bf16,rescale bf16", "--sizes", "32K", "--repetitions", "1");
        var launched = EmulatedGpu.Launched();
        foreach (var kernel in new[] { "amax_rows", "cast_rowmajor", "mx_dim0", "decode", "rescale" }) Assert.Contains(launched, n => n.StartsWith(kernel, StringComparison.Ordinal));
        Assert.Contains(", 10 calls in each timing;", text, StringComparison.Ordinal);
    }

    // The CPU's _scaled_mm has no scale per row: the other recipes' products need a GPU.
    [FactWithTools("g++")]
    public void Linear_layers_are_timed_by_the_GPUs_casts_and_products()
    {
        _ = EmulatedGpu.Launched();
        var text = Bench("linear", "--shapes", "32x64x64", "--recipe", "tensorwise", "--repetitions", "1");
        Assert.Contains(EmulatedGpu.Launched(), n => n.StartsWith("cast_", StringComparison.Ordinal));
        Assert.Matches(@"\| 32 \| 64 \| 64 \| float8/tensorwise \| [\d.]+ \| [\d.]+ \| [\d.]+ \|", text);
    }

    [FactWithTools("g++")]
    public void Auto_filter_measured_times_a_layer_with_the_GPUs_casts_and_products()
    {
        _ = EmulatedGpu.Launched();
        var gpu = EmulatedGpu.Device;
        var session = JobSession.Open([]);
        var engine = BenchRecipe.Choose(MeasuredPlugins.Recipes(session), "tensorwise", "float8", _ => true).Single().Engine(gpu.Capability);
        Assert.Equal("cuda", engine.KernelName);
        var measured = new LayerMeasurer(TimeProvider.System, () => gpu.Device).Measure(new MeasuredLayer(32, new LinearShape(64, 48), ScalarType.BFloat16, ScalarType.Float32, engine));
        Assert.True(measured is { HighPrecisionSeconds: > 0, RecipeSeconds: > 0 });
        Assert.NotEmpty(EmulatedGpu.Launched());
    }

    [FactWithTools("g++")]
    public void An_arm_of_a_step_reads_the_devices_memory_after_every_step_and_its_highest()
    {
        _ = EmulatedGpu.Launched();
        var reading = 0;
        string[] job = ["--training.seq_len", "32", "--training.local_batch_size", "1", "--compile.enable", "--model.converters", "quantize.linear.float8", "--quantize.linear.float8.filter_fqns", "output"];
        var arm = StepArm.Measure(Tiny, 1, 4, MeasuredPlugins.Job(JobSession.Open(job)), EmulatedGpu.Device, () => new DeviceMemory(Interlocked.Increment(ref reading), 1));
        Assert.Contains(EmulatedGpu.Launched(), n => n.StartsWith("cast_", StringComparison.Ordinal));
        Assert.Equal(5, arm.DeviceGiB!.Count);
        Assert.Equal(reading, arm.DevicePeakGiB);
        Assert.Equal(4, arm.Seconds.Count);
        Assert.InRange(arm.Loss, 4.5, 5.8);
        Assert.Equal(arm.DeviceGiB, StepArm.FromJson(arm.ToJson()).DeviceGiB);
    }

    [FactWithTools("g++")]
    public void Between_the_steps_of_an_arm_the_optimizer_finds_the_amaxes_of_weights_that_the_next_step_then_does_not_look_for()
    {
        _ = EmulatedGpu.Launched();
        string[] job = ["--training.seq_len", "32", "--training.local_batch_size", "1", "--compile.enable", "--model.converters", "quantize.linear.float8", "--quantize.linear.float8.filter_fqns", "output"];
        StepArm.Measure(Tiny, 1, 1, MeasuredPlugins.Job(JobSession.Open(job)), EmulatedGpu.Device, null);
        var without = EmulatedGpu.Launched().Count(n => n == "amax_parts_f32");
        StepArm.Measure(Tiny, 1, 1, MeasuredPlugins.Job(JobSession.Open(job)), EmulatedGpu.Device, null, withOptimizer: true);
        var launched = EmulatedGpu.Launched();
        // Of two steps only the first has to look.
        Assert.Equal(without, 2 * launched.Count(n => n == "amax_parts_f32"));
        Assert.Equal(without, launched.Count(n => n == "adamw_f32"));
    }

    [Fact]
    public void Memory_that_stays_after_the_third_step_is_flat_and_memory_that_grows_is_told()
    {
        var bench = new StepBench(Tiny, [(StepBench.Fused, []), ("float8/tensorwise fused", [])], 1, 3, 40);
        StepArm Arm(Func<int, double> memory) => new([0.15, 0.14], 4.9, 1, [.. Enumerable.Range(1, 43).Select(memory)], 40);
        var tables = bench.Tables([[Arm(step => Math.Min(step, 3) + 20)], [Arm(step => 20 + 0.01 * step)]]);
        Assert.Equal(["arm", "s/step", "s/step, least", "tokens/s", "vs bf16 fused", "peak memory, GiB", "device memory, highest, GiB", "loss", "steps"], tables[0].Columns);
        Assert.Equal(["arm", "step 1", "step 3", "step 20", "step 40", "step 43", "growth after step 3", "verdict"], tables[1].Columns);
        Assert.Equal(["bf16 fused", "21.000", "23.000", "23.000", "23.000", "23.000", "0.000", "flat"], tables[1].Rows[0]);
        Assert.Equal(["float8/tensorwise fused", "20.010", "20.030", "20.200", "20.400", "20.430", "0.400", "grows"], tables[1].Rows[1]);
    }

    private string Bench(params string[] args)
    {
        var parsed = BenchCommand.Create(() => EmulatedGpu.Device).Parse([.. args, "--out", folder]);
        Assert.Equal(0, parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, Output = TextWriter.Null }));
        return File.ReadAllText(Assert.Single(Directory.GetFiles(folder, "*.md")));
    }
}

/// <summary>Tests that look at what was launched: alone, or they would see each other's.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class OneGpu
{
    public const string Name = "emulated GPU";
}
