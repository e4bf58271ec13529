using System.Globalization;
using Titan.Abstractions;

namespace Titan.Training.Metrics;

/// <summary>What is logged of a step.</summary>
/// <param name="Step">The step, 1 for the first.</param>
/// <param name="Loss">Mean loss per token of all ranks together.</param>
/// <param name="MaxLoss">The largest of the ranks' own mean losses per token.</param>
/// <param name="GradNorm">Norm before clipping.</param>
/// <param name="LearningRate">The learning rate of the step.</param>
/// <param name="TokensSeen">Tokens since the start of training.</param>
/// <param name="TokensPerSecond">Since the last log line, per rank.</param>
/// <param name="Tflops">Model FLOPs per second, in 1e12.</param>
/// <param name="SecondsPerStep">Wall time.</param>
/// <param name="DataSeconds">Of which for loading data.</param>
/// <param name="MemoryGiB">Peak resident memory of the process.</param>
/// <param name="MemoryPercent">Of the machine's.</param>
/// <param name="Float8Matmuls">Float8 matmuls executed in the step; null when no layer is converted.</param>
/// <param name="Device">The device's memory that is in use; null on the CPU.</param>
/// <param name="TokenizerTokensPerSecond">Tokens that this rank made of text, per second that it took; null where none was read since the last log line.</param>
public sealed record StepMetrics(
    long Step, double Loss, double MaxLoss, double GradNorm, double LearningRate, long TokensSeen, double TokensPerSecond, double Tflops,
    double SecondsPerStep, double DataSeconds, double MemoryGiB, double MemoryPercent, long? Float8Matmuls, DeviceMemory? Device = null, double? TokenizerTokensPerSecond = null)
{
    /// <summary>What modules of the model report.</summary>
    public IReadOnlyList<ModelMetric> OfModel { get; init; } = [];

    /// <summary>Upstream's log line. MFU is not given: there is no peak to compare a CPU with.</summary>
    public string Line(bool colour)
    {
        string Paint(string code, FormattableString text)
        {
            var plain = text.ToString(CultureInfo.InvariantCulture);
            return colour ? $"\u001b[{code}m{plain}\u001b[39m" : plain;
        }

        var line = string.Join("  ",
            Paint("31", $"step: {Step,2}"), Paint("32", $"loss: {Loss,8:F5}"), Paint("33", $"grad_norm: {GradNorm,7:F4}"),
            Paint("36", $"memory: {MemoryGiB,5:F2}GiB({MemoryPercent:F2}%)"), Paint("34", $"tps: {Math.Round(TokensPerSecond):N0}"),
            Paint("36", $"tflops: {Tflops:F2}"), Paint("35", $"mfu: N/A"));
        if (Device is { } device) line = $"{line}  {Paint("36", $"device_memory_in_use: {device.GiB:F2}GiB({device.Percent:F2}%)")}";
        foreach (var metric in OfModel.Where(m => m.Label is not null)) line = $"{line}  {Paint("35", $"{metric.Label}: {metric.Value:F2}")}";
        return Float8Matmuls is { } count ? $"{line}  {Paint("35", $"float8_matmuls: {count}")}" : line;
    }

    /// <summary>Upstream's metric names.</summary>
    public IReadOnlyList<(string Name, double Value)> Named()
    {
        List<(string, double)> named =
        [
            ("loss_metrics/global_avg_loss", Loss), ("loss_metrics/global_max_loss", MaxLoss), ("grad_norm", GradNorm), ("throughput(tps)", TokensPerSecond),
            ("tflops", Tflops), ("time_metrics/end_to_end(s)", SecondsPerStep), ("time_metrics/data_loading(s)", DataSeconds),
            ("time_metrics/data_loading(%)", SecondsPerStep > 0 ? 100 * DataSeconds / SecondsPerStep : 0),
            ("memory/max_reserved(GiB)", MemoryGiB), ("memory/max_reserved(%)", MemoryPercent), ("n_tokens_seen", TokensSeen), ("lr", LearningRate),
        ];
        if (Device is { } device) named.AddRange([("memory/device_in_use(GiB)", device.GiB), ("memory/device_in_use(%)", device.Percent)]);
        if (TokenizerTokensPerSecond is { } tokenizer) named.Add(("tokenizer/throughput(tps)", tokenizer));
        if (Float8Matmuls is { } count) named.Add(("float8_matmuls", count));
        named.AddRange(OfModel.Select(m => (m.Name, m.Value)));
        return named;
    }
}
