using System.ComponentModel;
using System.ComponentModel.DataAnnotations;

namespace Titan.Training.Configuration;

/// <summary>Fused kernels in place of plain ATen operations.</summary>
public sealed record CompileSection
{
    /// <summary>Use fused kernels.</summary>
    [Description("Use fused kernels.")]
    public bool Enable { get; init; }

    /// <summary>Where: model, loss.</summary>
    [Description("Where.")]
    [AllowedValues("model", "loss")]
    public IReadOnlyList<string> Components { get; init; } = ["model", "loss"];

    /// <summary>Upstream's compiler.</summary>
    [Description("Upstream's compiler.")]
    [NotServedYet("the fused kernels are our own; leave the default")]
    public string Backend { get; init; } = "inductor";
}
