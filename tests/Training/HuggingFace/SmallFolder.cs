using Titan.Abstractions;
using Titan.Distributed;
using Titan.Models;
using Titan.Models.Llama3;
using Titan.Training.Checkpoints;
using Titan.Training.HuggingFace;
using static TorchSharp.torch;

namespace Titan.Training.Tests.HuggingFace;

/// <summary>Hugging Face folders of a tiny Llama, whose every element is its own number.</summary>
internal static class SmallFolder
{
    public static Llama3Args Args { get; } = new(32, 3, 4, 2, 64, MultipleOf: 32);

    public static HuggingFaceFormat Format { get; } = Args.Flavor.HuggingFace!();

    /// <summary>All tensors of the model, whole.</summary>
    public static IReadOnlyList<TensorPart> Weights(ScalarType type = ScalarType.Float32)
    {
        using var model = Args.Flavor.Build(new ModelContext(16, CPU, ScalarType.Float32));
        return [.. ModelParameters.Of(model).Select((p, i) => TensorPart.Whole(p.Fqn, arange(p.Parameter.numel(), dtype: ScalarType.Float32).mul(0.001).add(i).sin().reshape(p.Parameter.shape).to(type)))];
    }

    /// <summary>Writes them by the ranks of a group, each its parts.</summary>
    public static ExportLayout Write(string path, IReadOnlyList<TensorPart> own, IProcessGroup? world = null, long largest = 37_000, ScalarType? type = null, IReadOnlyDictionary<string, string>? groups = null)
    {
        world ??= new SingleRankGroup("world");
        var layout = ExportLayout.Make(ExportPlan.Of(Format, [.. own.Select(w => (w.Name, w.Layout.GlobalShape, type ?? w.Tensor.dtype))]), groups, largest);
        Agreement.OnFirst(world, () =>
        {
            Directory.CreateDirectory(path);
            foreach (var (name, text) in layout.With(ExportAssets.Of(Format.Config, "", type ?? ScalarType.Float32).Texts)) File.WriteAllText(Path.Combine(path, name), text);
        });
        new ExportFiles(layout, Format).Write(path, own, SafetensorsFile.HashedFile.Create, world);
        return layout;
    }

    /// <summary>A rank's part of each tensor.</summary>
    public static IReadOnlyList<TensorPart> Split(IReadOnlyList<TensorPart> whole, string how, IProcessGroup world) => [.. whole.Select(w =>
    {
        var dimension = how == "columns" ? w.Layout.Shape.Count - 1 : 0;
        var length = w.Layout.Shape[dimension];
        var layout = w.Layout.Narrow(dimension, length * world.Rank / world.Size, length * (world.Rank + 1) / world.Size - length * world.Rank / world.Size);
        return new TensorPart(w.Name, layout.Of(w.Tensor).clone(), layout);
    })];
}
