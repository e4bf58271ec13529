using System.Text.Json;
using Titan.Abstractions;
using Titan.Models;
using Titan.Training.Checkpoints;
using static TorchSharp.torch;

namespace Titan.Training.Adapters;

/// <summary>
/// The adapters of a run in the format of Hugging Face's PEFT: <c>adapter_model.safetensors</c>, fp32, and <c>adapter_config.json</c>, in a folder that appears when it is whole.
/// Source: PEFT's documentation, "PEFT checkpoint format".
/// </summary>
/// <param name="modules">The adapters.</param>
/// <param name="foreign">Every module of the base model.</param>
/// <param name="baseModel">Where the base model is; null where that is not known.</param>
internal sealed class PeftFolder(IReadOnlyList<PeftModule> modules, IReadOnlySet<string> foreign, string? baseModel)
{
    private const string WeightsName = "adapter_model.safetensors", ConfigName = "adapter_config.json";

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>The adapters of a run.</summary>
    /// <param name="adapters">The adapters; one or more.</param>
    /// <param name="parameters">The parameters of the run.</param>
    /// <param name="format">The family's layout in Hugging Face's checkpoints; null where it has none.</param>
    /// <param name="baseModel">Where the base model is; null where that is not known.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> when PEFT cannot have them.</exception>
    public static PeftFolder Of(IReadOnlyList<LowRankAdapter> adapters, IReadOnlyList<ModelParameter> parameters, HuggingFaceFormat? format, string? baseModel)
    {
        if (format is null) throw new TitanException(ExitCode.Usage, "the model's family says no Hugging Face names");
        if (adapters.Select(a => (a.Rank, a.Alpha)).Distinct().Count() > 1) throw new TitanException(ExitCode.Usage, "they differ in rank or alpha");
        var shapes = parameters.ToDictionary(p => p.Fqn, p => p.Layout.GlobalShape);
        const string weight = ".weight";
        return new PeftFolder([.. adapters.Select(a => PeftModule.Of(a, shapes[a.Weight], format.Tensors))],
            format.Tensors.Foreign.Keys.Where(n => n.EndsWith(weight, StringComparison.Ordinal)).Select(n => n[..^weight.Length]).ToHashSet(), baseModel);
    }

    /// <summary>Writes the folder, in place of one that is there.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="wholes">A and B by FQN.</param>
    /// <exception cref="IOException">When it cannot be written. What was there stays.</exception>
    public void Write(string folder, IReadOnlyDictionary<string, Tensor> wholes)
    {
        using var scope = NewDisposeScope();
        var temporary = $"{folder}.{Environment.ProcessId}.tmp";
        try
        {
            Directory.CreateDirectory(temporary);
            SafetensorsFile.Write(Path.Combine(temporary, WeightsName), [.. modules.SelectMany(m => new[]
            {
                ($"base_model.model.{m.Name}.lora_A.weight", wholes[m.Adapter.A]), ($"base_model.model.{m.Name}.lora_B.weight", m.RowsOf(wholes[m.Adapter.B])),
            })]);
            File.WriteAllText(Path.Combine(temporary, ConfigName), Config() + "\n");
            DirectorySync.Flush(temporary);
            if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
            Directory.Move(temporary, folder);
            DirectorySync.Flush(Path.GetDirectoryName(Path.GetFullPath(folder))!);
        }
        catch
        {
            if (Directory.Exists(temporary)) Directory.Delete(temporary, recursive: true);
            throw;
        }
    }

    private string Config()
    {
        var (rank, alpha) = (modules[0].Adapter.Rank, modules[0].Adapter.Alpha);
        return JsonSerializer.Serialize(new Dictionary<string, object?>
        {
            ["peft_type"] = "LORA", ["task_type"] = "CAUSAL_LM", ["base_model_name_or_path"] = baseModel, ["inference_mode"] = true,
            ["r"] = rank, ["lora_alpha"] = double.IsInteger(alpha) && alpha < int.MaxValue ? (int)alpha : alpha, ["lora_dropout"] = 0.0,
            ["target_modules"] = Targets(), ["bias"] = "none", ["fan_in_fan_out"] = false, ["init_lora_weights"] = true,
            ["modules_to_save"] = null, ["layers_to_transform"] = null, ["layers_pattern"] = null,
            ["rank_pattern"] = new Dictionary<string, int>(), ["alpha_pattern"] = new Dictionary<string, int>(), ["use_rslora"] = false, ["use_dora"] = false,
        }, Indented);
    }

    /// <summary>PEFT takes a target for the end of a module's name: the last part of it where all modules of that name have adapters, else the whole name.</summary>
    private IReadOnlyList<string> Targets()
    {
        var adapted = modules.Select(m => m.Name).ToHashSet();
        return [.. adapted.Select(name => foreign.Where(f => Last(f) == Last(name)).All(adapted.Contains) ? Last(name) : name).Distinct()];

        static string Last(string name) => name[(name.LastIndexOf('.') + 1)..];
    }
}
