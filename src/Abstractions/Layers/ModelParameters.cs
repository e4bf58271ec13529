using System.Reflection;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>A parameter of a model and which part of it this rank holds.</summary>
/// <param name="Fqn">Fully qualified name, for example <c>layers.0.attention.wq.weight</c>.</param>
/// <param name="Parameter">What the optimizer updates.</param>
/// <param name="Layout">Which part of the whole parameter it is.</param>
/// <param name="Replicas">Number of ranks that hold this same part.</param>
public sealed record ModelParameter(string Fqn, Parameter Parameter, ShardLayout Layout, int Replicas);

/// <summary>A weight in its place in a model.</summary>
/// <param name="Fqn">Fully qualified name of the parameter.</param>
/// <param name="Module">The layer, as a module.</param>
/// <param name="Layer">The layer.</param>
/// <param name="Slot">The weight.</param>
public sealed record ModelWeight(string Fqn, nn.Module Module, IWeightedLayer Layer, WeightSlot Slot);

/// <summary>The parameters of a model, whatever its parallelisms made of them.</summary>
public static class ModelParameters
{
    private static readonly FieldInfo Registered = typeof(nn.Module).GetField("_internal_params", BindingFlags.Instance | BindingFlags.NonPublic)
        ?? throw new InvalidOperationException("this version of TorchSharp keeps its parameters elsewhere");

    /// <summary>All parameters in the order of <c>named_parameters</c>.</summary>
    public static IReadOnlyList<ModelParameter> Of(nn.Module model)
    {
        var sources = new Dictionary<Parameter, IWeightSource>(ReferenceEqualityComparer.Instance);
        foreach (var (_, _, _, slot) in Weights(model)) sources.TryAdd(slot.Source.Parameter, slot.Source);
        return [.. model.named_parameters().Select(p => sources.TryGetValue(p.parameter, out var source)
            ? new ModelParameter(p.name, p.parameter, source.Layout, source.Replicas)
            : new ModelParameter(p.name, p.parameter, ShardLayout.Whole(p.parameter.shape), 1))];
    }

    /// <summary>The layers with a weight, with the FQN of the layer; depth first in the order of construction, which for our models is that of forward.</summary>
    public static IReadOnlyList<(string Fqn, nn.Module Module, IWeightedLayer Layer)> Layers(nn.Module model)
    {
        // named_modules goes breadth first.
        var found = new List<(string, nn.Module, IWeightedLayer)>();
        Collect(model, "");
        return found;

        void Collect(nn.Module module, string fqn)
        {
            if (module is IWeightedLayer layer) found.Add((fqn, module, layer));
            foreach (var (name, child) in module.named_children()) Collect(child, fqn.Length == 0 ? name : $"{fqn}.{name}");
        }
    }

    /// <summary>All weights of all <see cref="Layers"/>, in their order.</summary>
    public static IReadOnlyList<ModelWeight> Weights(nn.Module model) =>
        [.. from entry in Layers(model) from slot in entry.Layer.Weights select new ModelWeight($"{entry.Fqn}.{slot.Name}", entry.Module, entry.Layer, slot)];

    /// <summary>All buffers, in the order of the modules.</summary>
    public static IReadOnlyList<ModelBuffer> Buffers(nn.Module model)
    {
        var found = new List<ModelBuffer>();
        Collect(model, "");
        return found;

        void Collect(nn.Module module, string prefix)
        {
            if (module is IBufferOwner owner) found.AddRange(owner.Buffers.Select(b => new ModelBuffer(prefix + b.Name, b)));
            foreach (var (name, child) in module.named_children()) Collect(child, $"{prefix}{name}.");
        }
    }

    /// <summary>Gives a layer another source of its first weight.</summary>
    /// <param name="module">The layer; an <see cref="IWeightedLayer"/>.</param>
    /// <param name="source">The new source.</param>
    public static void SetWeight(nn.Module module, IWeightSource source) => SetWeight(module, ((IWeightedLayer)module).Weights[0], source);

    /// <summary>Gives a layer another source of a weight, and registers the source's parameter under the name that the old one had.</summary>
    /// <param name="module">The layer.</param>
    /// <param name="slot">One of its weights.</param>
    /// <param name="source">The new source.</param>
    public static void SetWeight(nn.Module module, WeightSlot slot, IWeightSource source)
    {
        var old = slot.Source.Parameter;
        slot.Source = source;
        Register(module, old, source.Parameter);
    }

    /// <summary>
    /// Gives every parameter that is still on the meta device memory of its own, uninitialised, and every buffer its first value. The parameter that it replaces is disposed of.
    /// </summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Plugin"/> for a parameter that belongs to no layer of the contract.</exception>
    public static void Materialize(nn.Module model, Device device)
    {
        var replaced = new List<Parameter>();
        foreach (var (_, module, _, slot) in Weights(model))
        {
            var weight = slot.Source.Parameter;
            if (weight.device_type != TorchSharp.DeviceType.META) continue;
            SetWeight(module, slot, slot.Source.Over(New(weight, device)));
            replaced.Add(weight);
        }

        foreach (var (name, parameter) in model.named_parameters())
            if (parameter.device_type == TorchSharp.DeviceType.META)
                throw new TitanException(ExitCode.Plugin, $"parameter '{name}' was made on the meta device and belongs to no layer that takes its weight from a source; a converter's layer must implement ILinear");
        foreach (var (_, buffer) in Buffers(model)) buffer.Materialize(device);
        // No layer has them any more; not before here, because two layers may have had the same.
        foreach (var parameter in replaced) parameter.Dispose();
    }

    /// <summary>Throws where a parameter that is to be trained belongs to no layer that gives it out: ranks could neither share it nor sum its gradient.</summary>
    /// <param name="model">The model.</param>
    /// <param name="parallelism">Who asks, for the message.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Plugin"/>, naming the parameter and the converter that put it there.</exception>
    public static void ThrowIfOwnerless(nn.Module model, string parallelism)
    {
        var owned = Weights(model).Select(w => w.Slot.Source.Parameter).ToHashSet<Parameter>(ReferenceEqualityComparer.Instance);
        foreach (var (name, parameter) in model.named_parameters())
        {
            if (!parameter.requires_grad || owned.Contains(parameter)) continue;
            var converter = new ModelSlots(model).All.FirstOrDefault(s => s.Slot.ReplacedBy is not null && name.StartsWith(s.Fqn + ".", StringComparison.Ordinal)).Slot?.ReplacedBy;
            throw new TitanException(ExitCode.Plugin,
                $"{parallelism} cannot share parameter '{name}'{(converter is null ? "" : $", which converter '{converter}' put there")}: it belongs to no layer that gives it out (IWeightedLayer.Weights); " +
                "put it into a layer of the contract, for example a Linear, or freeze it");
        }
    }

    private static Parameter New(Parameter like, Device device)
    {
        using var none = no_grad();
        return new Parameter(empty(like.shape, dtype: like.dtype, device: device), like.requires_grad);
    }

    private static void Register(nn.Module module, Parameter old, Parameter replacement)
    {
        var registered = (IDictionary<string, Parameter>)Registered.GetValue(module)!;
        // Its own enumerator throws.
        foreach (var (name, parameter) in module.named_parameters(false).ToList()) if (ReferenceEquals(parameter, old)) registered[name] = replacement;
    }
}
