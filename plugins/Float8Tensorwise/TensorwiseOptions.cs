using System.ComponentModel;

namespace Titan.Plugins.Float8Tensorwise;

/// <summary>What tensorwise scaling can do on several ranks.</summary>
public sealed record TensorwiseOptions
{
    /// <summary>Cast weight shards to float8 before they are gathered.</summary>
    [Description("Cast weight shards to float8 before FSDP gathers them: a quarter of fp32's bytes on the wire, half of bf16's.")]
    public bool EnableFsdpFloat8AllGather { get; init; }

    /// <summary>One all-reduce for the scales of all weights, after each optimizer step.</summary>
    [Description("One all-reduce for the scales of all weights after each optimizer step; needs enable_fsdp_float8_all_gather.")]
    public bool PrecomputeFloat8DynamicScaleForFsdp { get; init; }
}
