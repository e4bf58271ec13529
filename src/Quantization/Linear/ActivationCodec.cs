using Titan.Abstractions;
using Titan.Kernels.Activations;
using Titan.Kernels.Aten;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Linear;

/// <summary>
/// How an activation travels, from the recipe's data. It has two uses: X (or G) as rows for the first matmul, and as columns for the gradient of the weight.
/// <list type="bullet">
/// <item>one scale for the tensor: one amax is reduced, and one byte per element serves both uses;</item>
/// <item>scales per row, block or tile that no border between ranks cuts: bytes and scales, one copy per use that is needed;</item>
/// <item>a use in high precision, cast by code, or with one scale per column over all tokens: the activation itself. Casting decoded bytes again would round twice, and
/// two copies that need an amax per column besides are more than bf16.</item>
/// </list>
/// </summary>
internal sealed class ActivationCodec(LinearEngine engine, OperandCast rows, OperandCast columns) : IActivationCodec
{
    private static readonly (OperandCast Cast, int Contracted)[] Nothing = [];

    public string Describe(bool forBackward) => Uses(forBackward) is not { Length: > 0 } uses
        ? "the compute dtype"
        : string.Join(" and ", uses.Select(u => $"{u.Cast}{(u.Contracted == LinearEngine.AlongColumns ? " for the weight's gradient" : "")}"));

    public EncodedActivation? Encode(Tensor part, Tensor? amaxParts, bool forBackward, Func<Tensor, Tensor> reduceAmax)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        long b = part.Sizes()[0], s = part.Sizes()[1], f = part.Sizes()[2];
        var uses = Uses(forBackward);
        if (uses.Length == 0 || part.numel() == 0 || uses.Any(u => s % HeightOf(u) != 0 || f % WidthOf(u) != 0)) return null;
        var matrix = part.reshape(b * s, f).contiguous();
        var planes = new List<Tensor>();
        Tensor? one = null;
        foreach (var (cast, contracted) in uses)
        {
            var quantized = QuantizedTensor.Cast(matrix, (OperandCast.Scaled)cast, contracted, engine.Kernels, reduceAmax, IsOneScale(cast) ? LinearEngine.Reduced(amaxParts, reduceAmax) : null);
            planes.Add(AtenGateway.ViewDtype(quantized.Data.contiguous(), ScalarType.Byte).reshape(b, s, f));
            if (IsOneScale(cast)) one = quantized.Scale;
            else planes.Add(Bytes(quantized).reshape(b, -1, quantized.Scale.Sizes()[1]));
        }

        return new EncodedActivation([.. planes.Select(p => p.MoveToOuterDisposeScope())], one?.MoveToOuterDisposeScope());
    }

    public Tensor Decode(EncodedActivation whole, ScalarType type)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        return Operands(whole)[0].Operand.InHighPrecision(type).reshape(whole.Planes[0].shape).MoveToOuterDisposeScope();
    }

    public void Attach(Activation activation, EncodedActivation whole)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (cast, contracted, operand) in Operands(whole))
        {
            operand.Detach();
            activation.Attach(engine.Key(cast, contracted), new InputCast(operand));
        }
    }

    public void Attach(GradientNote note, Tensor gradient, EncodedActivation whole)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var casts = new List<(object, IDisposable)>();
        foreach (var (cast, contracted, operand) in Operands(whole))
        {
            operand.Detach();
            casts.Add((engine.Key(cast, contracted), operand));
        }

        KnownGradient.Put(note, gradient, amaxParts: null, casts);
    }

    /// <summary>The casts that travel; none where the activation itself has to.</summary>
    private (OperandCast Cast, int Contracted)[] Uses(bool forBackward)
    {
        if (!IsLocal(rows, LinearEngine.AlongRows)) return Nothing;
        if (!forBackward || rows == columns && LinearEngine.IsSameBothWays(rows)) return [(rows, LinearEngine.AlongRows)];
        return IsLocal(columns, LinearEngine.AlongColumns) && !IsOneScale(rows) && !IsOneScale(columns) ? [(rows, LinearEngine.AlongRows), (columns, LinearEngine.AlongColumns)] : Nothing;
    }

    private List<(OperandCast Cast, int Contracted, Operand Operand)> Operands(EncodedActivation whole)
    {
        var count = whole.Scale is not null ? 1 : whole.Planes.Count / 2;
        var operands = new List<(OperandCast, int, Operand)>();
        for (var i = 0; i < count; i++)
        {
            var (cast, contracted) = i == 0 ? (rows, LinearEngine.AlongRows) : (columns, LinearEngine.AlongColumns);
            var scaled = (OperandCast.Scaled)cast;
            var bytes = whole.Planes[whole.Scale is null ? 2 * i : i];
            var data = AtenGateway.ViewDtype(bytes.reshape(-1, bytes.Sizes()[2]).contiguous(), scaled.Format.Type);
            operands.Add((cast, contracted, new Operand(new QuantizedTensor(data, whole.Scale?.alias() ?? Scale(whole.Planes[2 * i + 1], scaled), scaled.Format, TileOf(cast, contracted)), null)));
        }

        return operands;
    }

    private static Tensor Bytes(QuantizedTensor quantized) =>
        quantized.HasBlocks ? AtenGateway.ViewDtype(quantized.Scale.contiguous(), ScalarType.Byte) : quantized.Scale.contiguous();

    private static Tensor Scale(Tensor plane, OperandCast.Scaled cast)
    {
        var matrix = plane.reshape(-1, plane.Sizes()[2]).contiguous();
        return cast.Granularity is ScaleGranularity.Block && QuantizedTensor.IsMicroscaling(cast.Rounding) ? AtenGateway.ViewDtype(matrix, Float8Format.E8M0.Type) : matrix;
    }

    private static bool IsOneScale(OperandCast cast) => cast is OperandCast.Scaled { Granularity: ScaleGranularity.Tensorwise };

    /// <summary>Whether a rank can cast its tokens without those of the others, but for one number.</summary>
    private static bool IsLocal(OperandCast cast, int contracted) =>
        cast is OperandCast.Scaled scaled && !(scaled.Granularity is ScaleGranularity.Rowwise && contracted == LinearEngine.AlongColumns);

    /// <summary>Tokens that share scales.</summary>
    private static int HeightOf((OperandCast Cast, int Contracted) use) => ((OperandCast.Scaled)use.Cast).Granularity switch
    {
        ScaleGranularity.Block block => use.Contracted == LinearEngine.AlongColumns ? block.Length : 1,
        ScaleGranularity.Tile tile => use.Contracted == LinearEngine.AlongColumns ? tile.Columns : tile.Rows,
        _ => 1,
    };

    /// <summary>Features that share scales; a cast that fills up with zeros would not keep the shape.</summary>
    private static int WidthOf((OperandCast Cast, int Contracted) use) => ((OperandCast.Scaled)use.Cast).Granularity switch
    {
        ScaleGranularity.Block block => use.Contracted == LinearEngine.AlongRows ? block.Length : 1,
        ScaleGranularity.Tile tile => use.Contracted == LinearEngine.AlongRows ? tile.Columns : tile.Rows,
        _ => 1,
    };

    /// <summary>Rows and columns that share an fp32 scale inside; null for the other forms.</summary>
    private static (int Rows, int Columns)? TileOf(OperandCast cast, int contracted) => cast switch
    {
        OperandCast.Scaled { Granularity: ScaleGranularity.Block } scaled when QuantizedTensor.IsMicroscaling(scaled.Rounding) => null,
        OperandCast.Scaled { Granularity: ScaleGranularity.Block or ScaleGranularity.Tile } => (HeightOf((cast, contracted)), WidthOf((cast, contracted))),
        _ => null,
    };
}
