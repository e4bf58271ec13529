using System.ComponentModel;
using Titan.Abstractions;

namespace Titan.Plugins.MXFP8;

/// <summary>Upstream's key for the kernel that casts along columns.</summary>
public sealed record MXFP8Options
{
    private const string Default = "triton";

    /// <summary>Only the default is accepted: the kernels are the host's own.</summary>
    [Description("Upstream's choice of the kernel that casts along columns. Only the default is accepted: the kernels are our own.")]
    public string Mxfp8Dim1CastKernelChoice { get; init; } = Default;

    /// <summary>Throws when a kernel was chosen.</summary>
    internal void Check()
    {
        if (Mxfp8Dim1CastKernelChoice != Default)
            throw new TitanException(ExitCode.Usage,
                $"quantize.linear.mx.mxfp8_dim1_cast_kernel_choice = '{Mxfp8Dim1CastKernelChoice}': not supported, the casts are our own kernels; leave it at '{Default}'");
    }
}
