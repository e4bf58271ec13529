using Titan.Abstractions;
using Titan.Kernels.Aten;
using static TorchSharp.torch;

namespace Titan.Host.Plugins;

/// <summary>
/// A plugin's quantizer as the host uses it: what it returns fits its operand, or the error names plugin, recipe and quantizer. Two of one quantizer are equal, so that casts are shared as before.
/// </summary>
/// <param name="Plugin">The plugin's id.</param>
/// <param name="Recipe">family/name.</param>
/// <param name="Quantizer">The plugin's.</param>
internal sealed record CheckedQuantizer(string Plugin, string Recipe, IQuantizer Quantizer) : IQuantizer
{
    /// <inheritdoc />
    public string Name => Quantizer.Name;

    /// <inheritdoc />
    public Tensor QuantizeDequantize(Tensor operand)
    {
        var version = AtenGateway.Version(operand);
        var result = Quantizer.QuantizeDequantize(operand);
        if (Fault(operand, result, version) is not { } fault) return result;
        throw new TitanException(ExitCode.Plugin, $"plugin '{Plugin}': recipe '{Recipe}': quantizer '{Name}' {fault}; drop it from model.converters or report it to its author");
    }

    private static string? Fault(Tensor operand, Tensor? result, long version)
    {
        if (operand.IsInvalid) return "disposed its operand, which is not its own";
        if (AtenGateway.Version(operand) != version) return "wrote to its operand; it must return a tensor of its own";
        if (result is null) return "returned null; expected a tensor";
        if (result.IsInvalid) return "returned a tensor that is disposed; move it out of its dispose scope";
        if (ReferenceEquals(operand, result) || operand.Handle == result.Handle) return "returned its operand itself, which would be disposed twice; return operand.alias()";
        if (!result.shape.AsSpan().SequenceEqual(operand.shape) || result.dtype != operand.dtype) return $"returned {Text(result)} for an operand of {Text(operand)}; expected the operand's shape and dtype";
        return result.device_type != operand.device_type || result.device_index != operand.device_index ? $"returned a tensor on {result.device}; expected {operand.device}, where its operand is" : null;
    }

    private static string Text(Tensor tensor) => $"[{string.Join(", ", tensor.shape)}] in {tensor.dtype}";
}
