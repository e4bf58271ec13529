namespace Titan.Models;

/// <summary>What a block keeps for its backward.</summary>
public enum BlockCheckpointing
{
    /// <summary>Everything.</summary>
    None,

    /// <summary>Only its input; the rest is computed again.</summary>
    Full,

    /// <summary>The attention half is kept, the feed-forward half, which holds the larger activations, is computed again.</summary>
    FeedForward,
}
