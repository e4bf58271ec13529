using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>A model as its converters see it: every replaceable module with its fully qualified name.</summary>
public sealed class ModelSlots
{
    private readonly List<(string Fqn, ModuleSlot Slot)> slots = [];
    private readonly List<(string Fqn, IGroupedLayer Layer)> experts = [];

    /// <summary>Collects the slots of <paramref name="model"/>, depth first in order of construction.</summary>
    public ModelSlots(nn.Module model)
    {
        Model = model;
        Collect(model, "");
        foreach (var (fqn, slot) in slots) slot.Fqn = fqn;
    }

    /// <summary>The whole model.</summary>
    public nn.Module Model { get; }

    /// <summary>Every slot with its FQN, for example <c>layers.0.attention.wq</c>.</summary>
    public IReadOnlyList<(string Fqn, ModuleSlot Slot)> All => slots;

    /// <summary>The slots that hold a linear layer, plain or converted.</summary>
    public IEnumerable<(string Fqn, ModuleSlot Slot, ILinear Linear)> Linears =>
        from entry in slots where entry.Slot.Module is ILinear select (entry.Fqn, entry.Slot, (ILinear)entry.Slot.Module);

    /// <summary>The layers of experts, in order of construction: <see cref="IGroupedLayer.Matmul"/> is what a converter replaces there.</summary>
    public IReadOnlyList<(string Fqn, IGroupedLayer Layer)> Experts => experts;

    /// <summary>Freezes parameters that the model has now: they get no gradient and no optimizer state, and stay as they are loaded or initialised.</summary>
    /// <param name="which">Told the FQN of each; null for all.</param>
    /// <returns>How many.</returns>
    public int Freeze(Func<string, bool>? which = null)
    {
        var frozen = Model.named_parameters().Where(p => which is null || which(p.name)).ToList();
        foreach (var (_, parameter) in frozen) parameter.requires_grad = false;
        return frozen.Count;
    }

    private void Collect(nn.Module module, string prefix)
    {
        if (module is IGroupedLayer grouped) experts.Add((prefix.TrimEnd('.'), grouped));
        if (module is ISlotOwner owner) slots.AddRange(owner.Slots.Select(s => (prefix + s.Name, s)));
        foreach (var (name, child) in module.named_children()) Collect(child, prefix + name + ".");
    }
}
