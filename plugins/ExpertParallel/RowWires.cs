using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.ExpertParallel;

/// <summary>How the rows of a mixture travel, and the gradients of its results; each found out once.</summary>
/// <param name="rows">The codec of rows; null for none.</param>
/// <param name="gradients">The codec of gradients; null for none.</param>
internal sealed class RowWires(IActivationCodec? rows, IActivationCodec? gradients)
{
    private readonly Dictionary<(IActivationCodec? Codec, long Features, ScalarType Type, bool ForBackward), RowWire> known = [];

    /// <summary>Of a mixture as its experts are now.</summary>
    public static RowWires Of(IGroupedLayer experts) => new(experts.Matmul.RowCodec, experts.Matmul.GradientCodec);

    /// <summary>Of rows.</summary>
    public RowWire Rows(long features, ScalarType type, Device device, bool forBackward) => Of(rows, features, type, device, forBackward);

    /// <summary>Of gradients.</summary>
    public RowWire Gradient(long features, ScalarType type, Device device) => Of(gradients, features, type, device, forBackward: true);

    private RowWire Of(IActivationCodec? codec, long features, ScalarType type, Device device, bool forBackward)
    {
        var key = (codec, features, type, forBackward);
        if (!known.TryGetValue(key, out var wire)) known[key] = wire = RowWire.Of(codec, features, type, device, forBackward);
        return wire;
    }
}
