using Titan.Abstractions;
using Titan.Kernels;
using Titan.Training.Models;

namespace Titan.Training.Data;

/// <summary>Datasets by name.</summary>
public static class Datasets
{
    /// <summary>The dataset whose documents are conversations.</summary>
    public const string Chat = "chat";

    private static readonly string[] Names = ["titan_sample", "titan_sample_validation", "text", Chat, "c4", "c4_test", "c4_validation"];

    /// <summary>Why no dataset has this name; null when one has.</summary>
    public static string? Problem(string name) =>
        Names.Contains(name.ToLowerInvariant()) ? null : $"no such dataset; known: {string.Join(", ", Names)}{Nearest.Hint(name, Names)}";

    /// <summary>Opens a dataset.</summary>
    /// <param name="name">Its name, in any case.</param>
    /// <param name="path">Where its files are; null for a shipped dataset.</param>
    /// <param name="section">The configuration section that names it, for messages.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> or <see cref="ExitCode.Usage"/>.</exception>
    public static Corpus Open(string name, string? path, string section = "training")
    {
        var key = $"{section}.dataset_path";
        name = name.ToLowerInvariant();
        if (Problem(name) is { } unknown) throw new TitanException(ExitCode.Usage, $"{section}.dataset = '{name}': {unknown}");
        if (path is not null) return new Corpus(name, TextFiles.Find(path, key, name == Chat), key, name == Chat);
        return name switch
        {
            "titan_sample" => new Corpus(name, [Path.Combine(SampleAssets.Root, "sample", "train.jsonl.gz")], key),
            "titan_sample_validation" => new Corpus(name, [Path.Combine(SampleAssets.Root, "sample", "validation.jsonl.gz")], key),
            Chat => throw new TitanException(ExitCode.Data, $"dataset '{name}': set {key} to a file or folder of conversations ({string.Join(", ", TextFiles.LineExtensions)}; docs/fine-tuning.md)"),
            _ => throw new TitanException(ExitCode.Data,
                $"dataset '{name}' is not shipped: set {key} to its files (.txt, .jsonl, .json, .parquet), or use {section}.dataset titan_sample"),
        };
    }
}

/// <summary>Finds the text and the tokenizer that come with the program.</summary>
public static class SampleAssets
{
    /// <summary>The folder <c>assets</c>: of <c>TITAN_ASSETS</c>, or beside the program or above it.</summary>
    public static string Root
    {
        get
        {
            if (ProgramVariables.Assets.Value is { } set) return set;
            for (var at = new DirectoryInfo(AppContext.BaseDirectory); at is not null; at = at.Parent)
                if (Directory.Exists(Path.Combine(at.FullName, "assets", "sample"))) return Path.Combine(at.FullName, "assets");
            throw new TitanException(ExitCode.Data, $"the folder 'assets' with the shipped text was not found beside the program; set {ProgramVariables.Assets.Name} to it");
        }
    }
}
