using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Titan.Quantization.Measurement;

/// <summary>Measures a layer once on a device and keeps the result in a file. A file that cannot be read or written is not an error: the layer is measured again.</summary>
/// <param name="measurer">What measures.</param>
/// <param name="folder">Where the files are.</param>
/// <param name="device">The device's name, asked for when a layer is.</param>
/// <param name="tell">Told before a measurement, and when its result cannot be kept.</param>
public sealed class CachedMeasurer(ILayerMeasurer measurer, string folder, Func<string> device, Action<string> tell) : ILayerMeasurer
{
    /// <summary><c>$XDG_CACHE_HOME/titan/measured</c>, or <c>~/.cache/titan/measured</c>.</summary>
    public static string DefaultFolder => Path.Combine(
        Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } cache ? cache : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"),
        "titan", "measured");

    /// <inheritdoc />
    public LayerMeasurement? Known(MeasuredLayer layer)
    {
        var key = MeasurementKey.Of(layer, device());
        try
        {
            return JsonSerializer.Deserialize<Entry>(File.ReadAllText(FileOf(key))) is { } entry && entry.Key == key && entry is { HighPrecisionSeconds: > 0, RecipeSeconds: > 0 }
                ? new LayerMeasurement(entry.HighPrecisionSeconds, entry.RecipeSeconds)
                : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            return null;
        }
    }

    /// <inheritdoc />
    public LayerMeasurement Measure(MeasuredLayer layer)
    {
        tell($"measuring {layer.Engine.Name} against high precision for {layer.Tokens} tokens x {layer.Shape}");
        var measured = measurer.Measure(layer);
        Keep(MeasurementKey.Of(layer, device()), measured);
        return measured;
    }

    private void Keep(string key, LayerMeasurement measured)
    {
        try
        {
            Directory.CreateDirectory(folder);
            // Several runs may measure the same layer: each writes a file of its own, the last name wins.
            var part = Path.Combine(folder, Path.GetRandomFileName());
            File.WriteAllText(part, JsonSerializer.Serialize(new Entry(key, measured.HighPrecisionSeconds, measured.RecipeSeconds)));
            File.Move(part, FileOf(key), overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            tell($"the measurement is not kept: {e.Message}");
        }
    }

    private string FileOf(string key) => Path.Combine(folder, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(key)))[..32] + ".json");

    private sealed record Entry(string Key, double HighPrecisionSeconds, double RecipeSeconds);
}
