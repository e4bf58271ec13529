using TorchSharp;

namespace Titan.Training.Models;

/// <summary>The modules of a model that have an interface, the model itself among them, each once.</summary>
internal static class ModulesWith
{
    /// <summary>In the order of the modules.</summary>
    public static IReadOnlyList<T> Interface<T>(torch.nn.Module model) => [.. model.named_modules().Select(m => m.module).Prepend(model).Distinct().OfType<T>()];
}
