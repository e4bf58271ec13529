using Titan.Abstractions;

namespace Titan.Plugins.Float8Tensorwise;

/// <summary>Dynamic scaling with one scale per tensor: the fastest recipe, since each tensor is cast once for both its matmuls.</summary>
[ExportRecipe("float8", "tensorwise", IsDefault = true, Status = ExportStatus.Stable, Summary = "one dynamic scale per tensor; e4m3 activations and weights, e5m2 gradients")]
public sealed class TensorwiseRecipe : QuantizationRecipe<TensorwiseOptions>
{
    /// <inheritdoc />
    public override DeviceRequirement Requires => DeviceRequirement.Cuda(8, 9).OrEmulated();

    /// <inheritdoc />
    public override LinearRecipe Describe(TensorwiseOptions options) => new(
        Output: new(E4M3.Tensorwise, E4M3.Tensorwise, FastAccumulation: true),
        GradInput: new(E5M2.Tensorwise, E4M3.Tensorwise),
        GradWeight: new(E5M2.Tensorwise, E4M3.Tensorwise));

    /// <summary>Where the H100 microbenchmarks say that the cast costs more than the matmul gains.</summary>
    public override string? AutoSkip(LinearShape shape) => shape is { K: <= 4096, N: <= 1024 } ? "K <= 4096 and N <= 1024" : null;

    /// <inheritdoc />
    public override IEnumerable<string> Notes(TensorwiseOptions options, ParallelDimensions dimensions)
    {
        if (dimensions.DataParallelShard == 1 && options.EnableFsdpFloat8AllGather)
            yield return "enable_fsdp_float8_all_gather has no effect: it needs more than one rank in dp_shard, this run has 1";
        if (dimensions.DataParallelShard == 1 && options.PrecomputeFloat8DynamicScaleForFsdp)
            yield return "precompute_float8_dynamic_scale_for_fsdp has no effect: it needs more than one rank in dp_shard, this run has 1";
        if (options.PrecomputeFloat8DynamicScaleForFsdp && !options.EnableFsdpFloat8AllGather)
            yield return "precompute_float8_dynamic_scale_for_fsdp has no effect without enable_fsdp_float8_all_gather";
    }
}
