using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Parallelism;

/// <summary>A weight whose gradient this plugin reduces over ranks.</summary>
internal interface IReducedWeight : IWeightSource
{
    /// <summary>How rows are shared out; one full shard for a weight that is only replicated.</summary>
    RowShards Rows { get; }

    /// <summary>A view of a gradient with its rows first, or back.</summary>
    Tensor Turned(Tensor gradient);
}
