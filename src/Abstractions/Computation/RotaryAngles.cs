using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>Which two elements of a head [D] turn together.</summary>
public enum RotaryLayout
{
    /// <summary>Neighbours, 2j and 2j + 1 (Meta's).</summary>
    Pairs,

    /// <summary>j and j + D / 2 (Hugging Face's).</summary>
    Halves,
}

/// <summary>The angles of a rotary position embedding, by position.</summary>
/// <param name="Cos">fp32 [S, D / 2], or [B, S, D / 2] where sequences have positions of their own.</param>
/// <param name="Sin">As Cos.</param>
/// <param name="Layout">Which elements turn together.</param>
public sealed record RotaryAngles(Tensor Cos, Tensor Sin, RotaryLayout Layout = RotaryLayout.Pairs) : IDisposable
{
    /// <inheritdoc />
    public void Dispose()
    {
        Cos.Dispose();
        Sin.Dispose();
    }

    /// <summary>The angles of other positions.</summary>
    /// <param name="positions">[S] or [B, S] int64, each a row of these angles [S', D / 2].</param>
    public RotaryAngles At(Tensor positions)
    {
        return new RotaryAngles(Rows(Cos), Rows(Sin), Layout);

        Tensor Rows(Tensor table)
        {
            using var rows = table.index_select(0, positions.reshape(-1));
            return rows.reshape([.. positions.shape, table.shape[^1]]);
        }
    }
}
