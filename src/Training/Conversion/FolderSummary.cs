using System.Text.Json.Nodes;
using Titan.Abstractions;
using Titan.Training.Checkpoints;
using Titan.Training.HuggingFace;
using Titan.Training.Loop;
using static TorchSharp.torch;

namespace Titan.Training.Conversion;

/// <summary>What a folder of weights says it holds. Headers and manifest alone are read; the bytes of the tensors are not looked at.</summary>
/// <param name="Path">The folder.</param>
/// <param name="Format">What it is, in words.</param>
/// <param name="IsHuggingFace">Whether its tensors are named and laid out as Hugging Face's.</param>
/// <param name="Step">The step that it was saved after; null where it does not say.</param>
/// <param name="Model">The model that made it, family and flavor; null where it does not say.</param>
/// <param name="Config">Hugging Face's config.json, where there is one.</param>
/// <param name="Files">Its files with their bytes.</param>
/// <param name="Tensors">Its tensors.</param>
/// <param name="Problems">What is wrong with it at first sight.</param>
internal sealed record FolderSummary(
    string Path, string Format, bool IsHuggingFace, long? Step, (string Family, string Flavor)? Model, JsonObject? Config, IReadOnlyList<(string Name, long Bytes)> Files, IReadOnlyList<TensorSummary> Tensors, IReadOnlyList<string> Problems)
{
    /// <summary>The weights: not moments, not the state of a generator.</summary>
    public IEnumerable<TensorSummary> Weights => Tensors.Where(t => IsHuggingFace || SavePlan.IsPartOf(ToHuggingFace.ModelFile, t.File));

    /// <summary>Reads it.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when there is no such folder, or none of a kind that is known.</exception>
    public static FolderSummary Of(string path)
    {
        if (File.Exists(path)) throw new TitanException(ExitCode.Data, $"'{path}' is a file; name a step folder of this program's, or a Hugging Face folder");
        if (!Directory.Exists(path)) throw new TitanException(ExitCode.Data, $"'{path}' does not exist");
        if (CheckpointKind.FormatOf(path) is { } format and not CheckpointManifest.HuggingFaceFormat) return OfOurs(path, format);
        if (HuggingFaceFolder.IsOne(path)) return OfTheirs(path);
        var steps = Steps(path);
        throw new TitanException(ExitCode.Data, steps.Count > 0
            ? $"'{path}' holds checkpoints: {string.Join(", ", steps.Take(10))}{(steps.Count > 10 ? ", ..." : "")}; name one of them"
            : $"'{path}' is neither a step folder of this program's ({CheckpointManifest.FileName} is missing) nor a Hugging Face folder ({HuggingFaceFolder.SingleName} or {HuggingFaceFolder.IndexName})");
    }

    private static FolderSummary OfOurs(string path, long format)
    {
        var opened = OpenedCheckpoint.Peek(path);
        var problems = new List<string>();
        var tensors = new List<TensorSummary>();
        foreach (var file in opened.Manifest.Files)
        {
            var info = new FileInfo(System.IO.Path.Combine(path, file.Name));
            if (!info.Exists) problems.Add($"{file.Name} is missing");
            else if (info.Length != file.Length) problems.Add($"{file.Name} has {info.Length:N0} bytes, expected {file.Length:N0}");
            else if (System.IO.Path.GetExtension(file.Name) == ".safetensors")
                tensors.AddRange(SafetensorsFile.ReadHeader(info.FullName).Select(e => new TensorSummary(e.Key, e.Value.Type, e.Value.Layout.GlobalShape, e.Value.Shape, file.Name)));
        }

        return new FolderSummary(path, $"checkpoint of this program, format {format}", false, opened.Manifest.Step, ModelOf(opened.Manifest), null, [.. opened.Manifest.Files.Select(f => (f.Name, f.Length))], tensors, problems);
    }

    private static FolderSummary OfTheirs(string path)
    {
        var folder = HuggingFaceFolder.Open(path, "PATH");
        var manifest = CheckpointKind.FormatOf(path) is null ? null : OpenedCheckpoint.Peek(path).Manifest;
        var kind = folder.Config?["model_type"] is { } type ? $"Hugging Face, model_type {type}" : "Hugging Face";
        return new FolderSummary(path, kind, true, manifest?.Step, manifest is null ? null : ModelOf(manifest), folder.Config,
            [.. Directory.EnumerateFiles(path).Order(StringComparer.Ordinal).Select(f => (System.IO.Path.GetFileName(f), new FileInfo(f).Length))],
            [.. folder.Tensors.Select(t => new TensorSummary(t.Key, t.Value.Entry.Type, t.Value.Entry.Shape, t.Value.Entry.Shape, System.IO.Path.GetFileName(t.Value.Path)))], folder.Problems);
    }

    private static (string, string)? ModelOf(CheckpointManifest manifest) =>
        manifest.Metadata.TryGetValue(CheckpointOrigin.Name, out var name) && manifest.Metadata.TryGetValue(CheckpointOrigin.Flavor, out var flavor) ? (name, flavor) : null;

    /// <summary>The checkpoints in a folder, or in the one that a run makes in its own.</summary>
    private static List<string> Steps(string path) =>
        [.. Directory.EnumerateDirectories(path, "*", new EnumerationOptions { RecurseSubdirectories = true, MaxRecursionDepth = 1, IgnoreInaccessible = true })
            .Where(d => File.Exists(System.IO.Path.Combine(d, CheckpointManifest.FileName))).Order(StringComparer.Ordinal)];
}

/// <summary>A tensor, or the part of one, in a file.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">Its dtype.</param>
/// <param name="Whole">Shape of the whole tensor.</param>
/// <param name="Part">Shape of what is in the file.</param>
/// <param name="File">The file.</param>
internal sealed record TensorSummary(string Name, ScalarType Type, IReadOnlyList<long> Whole, IReadOnlyList<long> Part, string File)
{
    /// <summary>Elements in the file.</summary>
    public long Elements => Part.Aggregate(1L, (a, b) => a * b);

    /// <summary>Bytes in the file.</summary>
    public long Bytes => SafetensorsHeader.BytesOf(Type, Part);

    /// <summary>The dtype's name in safetensors.</summary>
    public string Dtype => SafetensorsHeader.NameOf(Type);
}
