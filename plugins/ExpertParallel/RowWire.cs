using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.ExpertParallel;

/// <summary>How rows of some features travel: as they are, or as a codec encodes them, for example a plane of bytes and one of scales. Each row is encoded by itself.</summary>
internal sealed class RowWire
{
    private readonly IActivationCodec? codec;
    private readonly bool forBackward;

    /// <summary>The planes [1, F'] of a row of zeros; empty where rows travel as they are.</summary>
    private readonly IReadOnlyList<Tensor> blank = [];

    private RowWire(IActivationCodec? codec, long features, ScalarType type, Device device, bool forBackward)
    {
        this.forBackward = forBackward;
        if (codec is null) return;
        using var none = no_grad();
        using var scope = NewDisposeScope();
        // What a row of its own can be is what any number of rows can be: a rank without rows knows it as well as the others.
        if (codec.Encode(zeros(1, 1, features, dtype: type, device: device), null, forBackward, Alone) is not { Scale: null } row || row.Planes.Any(p => p.shape[1] != 1)) return;
        this.codec = codec;
        blank = [.. row.Planes.Select(p => p.reshape(1, -1).DetachFromDisposeScope())];
    }

    /// <summary>Whether rows travel encoded.</summary>
    public bool IsEncoded => codec is not null;

    /// <summary>Of a codec; null for none.</summary>
    public static RowWire Of(IActivationCodec? codec, long features, ScalarType type, Device device, bool forBackward) => new(codec, features, type, device, forBackward);

    /// <summary>What a row is on the wire: dtype and bytes of each plane.</summary>
    public IReadOnlyList<(ScalarType Type, long Bytes)> Row(long features, ScalarType type) =>
        IsEncoded ? [.. blank.Select(b => (b.dtype, b.numel() * b.ElementSize))] : [(type, PlainBytes(features, type))];

    /// <summary>Bytes of a row that travels as it is.</summary>
    public static long PlainBytes(long features, ScalarType type) => features * (type == ScalarType.Float32 ? 4 : 2);

    /// <summary>The planes [n, F'] of rows [n, F], contiguous.</summary>
    public IReadOnlyList<Tensor> Encode(Tensor rows)
    {
        using var values = rows.detach();
        if (codec is null) return [values.contiguous()];
        if (rows.shape[0] == 0) return [.. blank.Select(b => b.narrow(0, 0, 0).contiguous())];
        var encoded = codec.Encode(values.unsqueeze(0), null, forBackward, Alone)!;
        return [.. encoded.Planes.Select(p => p.reshape(rows.shape[0], -1).contiguous())];
    }

    /// <summary>Planes [M, F'] of rows of zeros, to be written to.</summary>
    /// <param name="like">Planes of other rows.</param>
    /// <param name="rows">M.</param>
    public IReadOnlyList<Tensor> Blank(IReadOnlyList<Tensor> like, long rows) => IsEncoded
        ? [.. blank.Select(b => b.expand(rows, -1).clone())]
        : [.. like.Select(p => zeros([rows, .. p.shape[1..]], dtype: p.dtype, device: p.device))];

    /// <summary>The rows [M, F] of planes, and the planes as the codec knows them; null where rows travel as they are.</summary>
    public (Tensor Rows, EncodedActivation? Encoded) Decode(IReadOnlyList<Tensor> planes, ScalarType type)
    {
        if (codec is null) return (planes[0], null);
        var encoded = new EncodedActivation([.. planes.Select(p => p.unsqueeze(0))], null);
        if (planes[0].shape[0] == 0) return (zeros([0, Features(planes[0])], dtype: type, device: planes[0].device), null);
        var rows = codec.Decode(encoded, type);
        return (rows.reshape(planes[0].shape[0], -1), encoded);
    }

    /// <summary>Lets the experts find the planes where they would cast the rows.</summary>
    public void Attach(Activation rows, EncodedActivation encoded) => codec!.Attach(rows, encoded);

    private static long Features(Tensor bytes) => bytes.shape[1];

    private static Tensor Alone(Tensor amax) => amax.clone();
}
