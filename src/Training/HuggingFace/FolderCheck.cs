using Titan.Models;
using Titan.Training.Checkpoints;

namespace Titan.Training.HuggingFace;

/// <summary>Compares a folder with the flavor that is to be filled from it: configuration, names, shapes, kinds of numbers. By headers alone, before any memory is taken.</summary>
/// <param name="Errors">Why it cannot be loaded, a line each.</param>
/// <param name="Warnings">What the user should know.</param>
internal sealed record FolderCheck(IReadOnlyList<string> Errors, IReadOnlyList<string> Warnings)
{
    private const int Shown = 10;

    /// <summary>Compares.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="format">How the flavor is stored.</param>
    /// <param name="quantised">Whether weights may be quantised.</param>
    public static FolderCheck Of(HuggingFaceFolder folder, HuggingFaceFormat format, bool quantised)
    {
        var errors = Few(folder.Problems, "problems of the files");
        var warnings = new List<string>();
        if (folder.Config is { } config)
        {
            var differences = format.Config.Differences(config);
            // Of another architecture nothing else is right either.
            if (differences is [var only] && only.StartsWith("model_type", StringComparison.Ordinal)) return new FolderCheck([$"it is of another architecture: {only} ({HuggingFaceFolder.ConfigName})"], []);
            errors.AddRange(differences.Select(d => $"{HuggingFaceFolder.ConfigName}: {d}"));
        }
        else if (folder.Problems.Count == 0) warnings.Add($"'{folder.Root}' has no {HuggingFaceFolder.ConfigName}: whether its rotary embedding and norms are those of the flavor cannot be checked");

        if (folder.Quantised.Count > 0 && !quantised)
        {
            // Their names and shapes are those of codes: nothing can be compared.
            errors.Add($"{folder.Quantised.Count} tensors are quantised ({string.Join(", ", folder.Quantised.Keys.Order(StringComparer.Ordinal).Take(3))}{(folder.Quantised.Count > 3 ? ", ..." : "")}): set checkpoint.initial_load_in_hf_quantized = true to read them");
            return new FolderCheck(errors, warnings);
        }

        var expected = AdapterOf(folder, format).Foreign;
        errors.AddRange(Few([.. expected.Keys.Where(n => !folder.Tensors.ContainsKey(n) && !folder.Unknown.Contains(n) && !format.Optional.Contains(n)).Select(n => $"{n} is missing")], "missing tensors"));
        errors.AddRange(Few([.. folder.Quantised.Values.Select(q => q.Fault).OfType<string>()], "scales that do not fit"));
        var common = expected.Where(e => folder.Tensors.ContainsKey(e.Key))
            .Select(e => (Name: e.Key, Expected: e.Value, folder.Tensors[e.Key].Entry.Type, Shape: folder.Quantised.TryGetValue(e.Key, out var q) ? q.Shape : folder.Tensors[e.Key].Entry.Shape)).ToList();
        errors.AddRange(Few([.. common.Where(t => !t.Expected.SequenceEqual(t.Shape)).Select(t => $"{t.Name} is [{string.Join(", ", t.Shape)}], expected [{string.Join(", ", t.Expected)}]")], "tensors of another shape"));
        errors.AddRange(Few(
            [.. common.Where(t => !Finiteness.IsFloat(t.Type) && !folder.Quantised.ContainsKey(t.Name)).Select(t => $"{t.Name} is {SafetensorsHeader.NameOf(t.Type)} without scales; expected F32, BF16 or F16")], "tensors of another kind"));
        var scales = folder.Quantised.Values.Select(q => q.ScaleName).ToHashSet(StringComparer.Ordinal);
        var extra = folder.Tensors.Keys.Where(n => !expected.ContainsKey(n) && !scales.Contains(n)).Order(StringComparer.Ordinal).ToList();
        if (extra.Count > 0)
            warnings.Add($"'{folder.Root}' has {extra.Count} tensors that the flavor has no place for, and they are not loaded: {string.Join(", ", extra.Take(Shown))}{(extra.Count > Shown ? $" and {extra.Count - Shown} more" : "")}");
        return new FolderCheck(errors, warnings);
    }

    /// <summary>The names and layouts of a folder: those of quantised weights where it has some.</summary>
    public static IStateDictAdapter AdapterOf(HuggingFaceFolder folder, HuggingFaceFormat format) => folder.Quantised.Count > 0 ? format.Quantised ?? format.Tensors : format.Tensors;

    private static List<string> Few(IReadOnlyList<string> lines, string what) => lines.Count <= Shown ? [.. lines] : [.. lines.Take(Shown), $"... and {lines.Count - Shown} more {what}"];
}
