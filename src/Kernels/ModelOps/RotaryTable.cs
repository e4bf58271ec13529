using Titan.Kernels.Aten;
using static TorchSharp.torch;

namespace Titan.Kernels.ModelOps;

/// <summary>Cosines and sines of a rotary embedding in the order in which the kernel reads them.</summary>
public sealed class RotaryTable
{
    /// <summary>From cosines and sines, each [S, D / 2] fp32; both must live as long as the table.</summary>
    public RotaryTable(Tensor cos, Tensor sin)
    {
        (Cosines, Sines) = (cos, sin);
        Length = cos.Sizes()[0];
        Width = 2 * cos.Sizes()[1];
        (Cos, Sin) = (new float[Length * Width], new float[Length * Width]);
        using Tensor c32 = cos.cpu().contiguous(), s32 = sin.cpu().contiguous();
        float[] c = [.. c32.data<float>()], s = [.. s32.data<float>()];
        for (var i = 0; i < c.Length; i++)
        {
            Cos[2 * i] = Cos[2 * i + 1] = c[i];
            Sin[2 * i] = -s[i];
            Sin[2 * i + 1] = s[i];
        }
    }

    /// <summary>S, the positions that the table covers.</summary>
    public long Length { get; }

    /// <summary>D, the width of a head.</summary>
    public long Width { get; }

    /// <summary>[S, D / 2], as given.</summary>
    internal Tensor Cosines { get; }

    /// <summary>[S, D / 2], as given.</summary>
    internal Tensor Sines { get; }

    /// <summary>[S, D]: each cosine twice.</summary>
    internal float[] Cos { get; }

    /// <summary>[S, D]: each sine twice, first with the other sign.</summary>
    internal float[] Sin { get; }
}
