using System.Reflection;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Quantization.Measurement;

/// <summary>All that a measurement depends on, as text: whatever changes makes another key, and the old measurement is not used.</summary>
public static class MeasurementKey
{
    /// <summary>The key of a layer on a device.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="device">The device's name.</param>
    public static string Of(MeasuredLayer layer, string device) => string.Join('\n',
        $"shape {layer.Tokens} x {layer.Shape}",
        $"dtypes {layer.Compute} {layer.Master}",
        $"output {Of(layer.Engine.Recipe.Output)}",
        $"grad_input {Of(layer.Engine.Recipe.GradInput)}",
        $"grad_weight {Of(layer.Engine.Recipe.GradWeight)}",
        $"kernels {layer.Engine.KernelName}, {layer.Engine.Backend}",
        $"device {device}, {get_num_threads()} threads",
        $"versions titan {Version(typeof(MeasurementKey))}, TorchSharp {Version(typeof(TorchSharp.torch))}");

    // A recipe's own text leaves out how scales are rounded.
    private static string Of(MatmulRecipe matmul) => $"{Of(matmul.Left)} . {Of(matmul.Right)}{(matmul.FastAccumulation ? " fast" : "")}";

    private static string Of(OperandCast cast) => cast switch
    {
        OperandCast.Scaled s => $"{s.Format} {s.Granularity} {s.Rounding}",
        // Code of a plugin: another build of it may be faster.
        OperandCast.Custom c => $"{c.Quantizer.Name} {c.Quantizer.GetType().Module.ModuleVersionId}",
        _ => "hp",
    };

    private static string Version(Type type) =>
        type.Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? type.Assembly.GetName().Version?.ToString() ?? "?";
}
