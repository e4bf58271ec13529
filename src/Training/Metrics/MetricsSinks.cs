using System.Globalization;
using System.Text.Json;
using TorchSharp;
using TorchSharp.Modules;

namespace Titan.Training.Metrics;

/// <summary>Where metrics go besides the log. A sink that fails is given up with one warning; training goes on.</summary>
public interface IMetricsSink : IDisposable
{
    /// <summary>Writes named values of a step.</summary>
    void Write(long step, IReadOnlyList<(string Name, double Value)> values);
}

/// <summary>One JSON object per line: <c>metrics.jsonl</c>.</summary>
public sealed class JsonLinesSink : IMetricsSink
{
    private readonly StreamWriter writer;

    /// <summary>Appends to a file.</summary>
    public JsonLinesSink(string path) => writer = new StreamWriter(path, append: true) { AutoFlush = true };

    /// <inheritdoc />
    public void Write(long step, IReadOnlyList<(string Name, double Value)> values)
    {
        // JSON has no NaN: such a value is written as a string.
        var row = values.ToDictionary(v => v.Name, v => double.IsFinite(v.Value) ? (object)v.Value : v.Value.ToString(CultureInfo.InvariantCulture));
        row["step"] = step;
        writer.WriteLine(JsonSerializer.Serialize(row));
    }

    /// <inheritdoc />
    public void Dispose() => writer.Dispose();
}

/// <summary>TensorBoard event files.</summary>
public sealed class TensorBoardSink : IMetricsSink
{
    private readonly SummaryWriter writer;

    /// <summary>Writes into a folder.</summary>
    public TensorBoardSink(string folder)
    {
        Directory.CreateDirectory(folder);
        writer = torch.utils.tensorboard.SummaryWriter(folder);
    }

    /// <inheritdoc />
    public void Write(long step, IReadOnlyList<(string Name, double Value)> values)
    {
        foreach (var (name, value) in values) writer.add_scalar(name, (float)value, (int)step);
    }

    /// <inheritdoc />
    public void Dispose()
    {
        // Each value is written when it is added.
    }
}

/// <summary>Several sinks, of which a failing one is dropped.</summary>
/// <param name="sinks">The sinks.</param>
/// <param name="warn">Receives the one warning of a failing sink.</param>
public sealed class MetricsSinks(IEnumerable<IMetricsSink> sinks, Action<string> warn) : IDisposable
{
    private readonly List<IMetricsSink> alive = [.. sinks];

    /// <summary>Writes to all.</summary>
    public void Write(long step, IReadOnlyList<(string Name, double Value)> values)
    {
        foreach (var sink in alive.ToList())
        {
            try
            {
                sink.Write(step, values);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or ObjectDisposedException)
            {
                warn($"{sink.GetType().Name} failed and is off from now on: {e.Message}");
                alive.Remove(sink);
            }
        }
    }

    /// <inheritdoc />
    public void Dispose() => alive.ForEach(s => s.Dispose());
}
