using TorchSharp;
using Titan.Abstractions;

namespace Titan.Plugins.ExpertParallel;

/// <summary>A mixture of experts in its place in a model.</summary>
/// <param name="Fqn">Its name.</param>
/// <param name="ExpertsFqn">That of its experts.</param>
/// <param name="Layer">The mixture.</param>
internal sealed record Mixture(string Fqn, string ExpertsFqn, IExpertLayer Layer)
{
    /// <summary>D: what a row has.</summary>
    public long Features => Layer.Experts.Weight.Layout.GlobalShape[2];

    /// <summary>Whether an expert is trained.</summary>
    public bool IsTrained => Layer.Experts.Weights.Any(w => w.Source.Parameter.requires_grad);

    /// <summary>Those of a model.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> when it has none, or a number of experts that the ranks cannot share.</exception>
    public static IReadOnlyList<Mixture> Of(ParallelizationContext context)
    {
        var (key, ranks) = (MeshAxis.ExpertParallel.DegreeKey(), context.Group.Size);
        if (context.Model is not IExpertModel { ExpertLayers: { Count: > 0 } layers })
            throw new TitanException(ExitCode.Usage, $"model {context.Model.GetName()} has no mixtures of experts in this flavor: {key} = {ranks} has nothing to share; set it to 1");
        var names = ModelParameters.Layers(context.Model).ToDictionary(l => l.Layer, l => l.Fqn);
        foreach (var (fqn, layer) in layers)
            if (layer.Count % ranks != 0)
                throw new TitanException(ExitCode.Usage, $"{fqn} has {layer.Count} experts, which {ranks} ranks cannot share evenly; set {key} to a divisor of {layer.Count}");
        return [.. layers.Select(l => new Mixture(l.Fqn, names[l.Layer.Experts], l.Layer))];
    }

    /// <summary>Leaves this rank's experts, still on the meta device.</summary>
    public void Narrow(IProcessGroup group)
    {
        using var none = torch.no_grad();
        foreach (var slot in Layer.Experts.Weights)
        {
            var whole = slot.Source;
            var length = whole.Layout.Shape[0] / group.Size;
            var layout = whole.Layout.Narrow(0, group.Rank * length, length);
            var part = new TorchSharp.Modules.Parameter(torch.empty([.. layout.Shape], dtype: whole.Parameter.dtype, device: whole.Parameter.device), whole.Parameter.requires_grad);
            ModelParameters.SetWeight((torch.nn.Module)Layer.Experts, slot, new LocalExperts(part, layout, whole.Replicas, whole.PartsGroup));
        }
    }
}
