using Titan.Abstractions;

namespace Titan.Plugins.MXFP8;

/// <summary>Scales by the OCP specification's rule, which cuts off what lies between 448 and 512 times a power of two.</summary>
[ExportRecipe("mx", "mxfp8_cublas", IsDefault = true, Status = ExportStatus.Prototype, Summary = "blocks of 32, scales rounded down (FLOOR)")]
public sealed class CublasRecipe() : MXFP8Recipe(ScaleRounding.Floor);

/// <summary>Scales rounded up, so that nothing is cut off.</summary>
[ExportRecipe("mx", "mxfp8_cublas_rceil", Status = ExportStatus.Prototype, Summary = "blocks of 32, scales rounded up (RCEIL)")]
public sealed class CublasRceilRecipe() : MXFP8Recipe(ScaleRounding.RoundUp);

/// <summary>The newer name of <see cref="CublasRceilRecipe"/>.</summary>
[ExportRecipe("mx", "mxfp8_rceil", Status = ExportStatus.Prototype, Summary = "the newer name of mxfp8_cublas_rceil")]
public sealed class RceilRecipe() : MXFP8Recipe(ScaleRounding.RoundUp);

/// <summary>Scales rounded up, the gradient of the weight in high precision.</summary>
[ExportRecipe("mx", "mxfp8_rceil_wgrad_with_hp", Status = ExportStatus.Prototype, Summary = "as mxfp8_rceil, the weight's gradient in high precision")]
public sealed class RceilWithGradWeightHighPrecisionRecipe() : MXFP8Recipe(ScaleRounding.RoundUp, gradWeightInHighPrecision: true);

/// <summary>The numbers of <see cref="CublasRecipe"/> on any hardware: dequantise and multiply.</summary>
[ExportRecipe("mx", "mxfp8_emulated", Status = ExportStatus.Prototype, Summary = "as mxfp8_cublas, multiplied in fp32 on any hardware")]
public sealed class EmulatedRecipe() : MXFP8Recipe(ScaleRounding.Floor)
{
    /// <inheritdoc />
    public override bool Emulated => true;
}
