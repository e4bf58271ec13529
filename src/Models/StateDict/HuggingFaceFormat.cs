namespace Titan.Models;

/// <summary>How a flavor is stored in a folder that Hugging Face's transformers load: tensors in <c>*.safetensors</c>, and <c>config.json</c>.</summary>
/// <param name="Tensors">Names and layouts of the tensors.</param>
/// <param name="Config">The fields of <c>config.json</c>.</param>
public sealed record HuggingFaceFormat(IStateDictAdapter Tensors, HuggingFaceConfig Config)
{
    /// <summary>Our tensors that this layout has no place for, by FQN (the router's expert bias of most families): not written, and on loading they keep their first value.</summary>
    public IReadOnlySet<string> NotStored { get; init; } = new HashSet<string>();

    /// <summary>
    /// Names and layouts in folders whose weights are quantised, where those are others; a tensor has there the name of its codes (gpt-oss: <c>NAME_blocks</c>). Read, never written.
    /// </summary>
    public IStateDictAdapter? Quantised { get; init; }

    /// <summary>Foreign tensors that a folder may lack: what they would fill keeps its first value.</summary>
    public IReadOnlySet<string> Optional { get; init; } = new HashSet<string>();
}
