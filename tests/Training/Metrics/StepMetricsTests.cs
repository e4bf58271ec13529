using Titan.Training.Metrics;
using static TorchSharp.torch;

namespace Titan.Training.Tests.Metrics;

public class StepMetricsTests
{
    private static readonly StepMetrics OnCpu = new(7, 2.5, 2.625, 0.75, 1e-3, 4096, 1234.4, 0.5, 2, 0.25, 1.5, 12.5, null);

    [Fact]
    public void On_the_CPU_a_step_names_the_memory_of_the_process_alone()
    {
        Assert.Equal("step:  7  loss:  2.50000  grad_norm:  0.7500  memory:  1.50GiB(12.50%)  tps: 1,234  tflops: 0.50  mfu: N/A", OnCpu.Line(colour: false));
        Assert.DoesNotContain(OnCpu.Named(), m => m.Name.Contains("device", StringComparison.Ordinal));
        Assert.Null(DeviceMemory.ReaderOf(CPU));
    }

    [Fact]
    public void On_a_GPU_it_also_names_the_devices_memory_that_is_in_use()
    {
        var metrics = OnCpu with { Float8Matmuls = 9, Device = DeviceMemory.Of((5L << 30, 8L << 30)) };
        Assert.EndsWith("mfu: N/A  device_memory_in_use: 5.00GiB(62.50%)  float8_matmuls: 9", metrics.Line(colour: false));
        Assert.Contains("\u001b[36mdevice_memory_in_use: 5.00GiB(62.50%)\u001b[39m", metrics.Line(colour: true));
        Assert.Equal([("memory/device_in_use(GiB)", 5.0), ("memory/device_in_use(%)", 62.5)], metrics.Named().Where(m => m.Name.Contains("device", StringComparison.Ordinal)));
    }

    [Fact]
    public void A_step_names_the_tokenizers_throughput_where_text_was_read()
    {
        Assert.DoesNotContain(OnCpu.Named(), m => m.Name.Contains("tokenizer", StringComparison.Ordinal));
        Assert.Contains(("tokenizer/throughput(tps)", 5000.0), (OnCpu with { TokenizerTokensPerSecond = 5000 }).Named());
    }
}
