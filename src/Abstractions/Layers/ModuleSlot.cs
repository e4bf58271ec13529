using System.Reflection;
using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// A place in a model that holds a module and lets it be replaced. TorchSharp keeps children both in a dictionary and in the field that forward reads;
/// a model that holds its children in slots has one place for both.
/// </summary>
public sealed class ModuleSlot : IActivationBoundary
{
    /// <summary>The key in <see cref="Exception.Data"/> of the FQN of the layer whose forward threw.</summary>
    public const string FailedLayer = "titan.layer";

    /// <summary>The key in <see cref="Exception.Data"/> of the type of the layer whose result did not fit: whose code that is tells whose fault it is.</summary>
    public const string FailedType = "titan.type";

    private static readonly FieldInfo Children = typeof(nn.Module).GetField("_internal_submodules", BindingFlags.Instance | BindingFlags.NonPublic)
        ?? throw new InvalidOperationException("this version of TorchSharp keeps its submodules elsewhere");

    private readonly nn.Module parent;
    private readonly Site site;
    private ILinear? replaced;

    /// <summary>Registers <paramref name="module"/> as child <paramref name="name"/> of <paramref name="parent"/>.</summary>
    public ModuleSlot(nn.Module parent, string name, nn.Module<Tensor, Tensor> module)
    {
        (this.parent, Name, Module, site) = (parent, name, module, new Site(this));
        parent.register_module(name, module);
    }

    /// <summary>The child's name, the last part of its FQN.</summary>
    public string Name { get; }

    /// <summary>The module that is in the slot now.</summary>
    public nn.Module<Tensor, Tensor> Module { get; private set; }

    /// <summary>The converters that replaced or wrapped the module, in their order, with commas between; null for none.</summary>
    public string? ReplacedBy { get; private set; }

    /// <inheritdoc />
    public Func<Activation, Activation>? BeforeForward { get; set; }

    /// <inheritdoc />
    public Func<Activation, Activation>? AfterForward { get; set; }

    /// <summary>The name within the whole model, once somebody has looked at it as a whole.</summary>
    internal string? Fqn { get; set; }

    /// <summary>Whether the module looks for the amax of its input.</summary>
    public bool WantsInputAmax => Module is IActivationLayer { WantsInputAmax: true };

    /// <summary>Calls the module on values of which nothing more is known.</summary>
    public Tensor forward(Tensor x)
    {
        using var input = new Activation(x);
        return Forward(input).Values;
    }

    /// <summary>Calls the module.</summary>
    public Activation Forward(Activation x)
    {
        var outer = FailureSite.Current;
        FailureSite.Current = site;
        try
        {
            using var scope = NewDisposeScope();
            var input = BeforeForward is { } before ? before(x) : x;
            var output = Call(input);
            // The casts of an input that was exchanged between ranks have had their only reader.
            if (!ReferenceEquals(input, x)) input.Dispose();
            if (AfterForward is { } after) output = after(output);
            output.Values.MoveToOuterDisposeScope();
            return output;
        }
        catch (Exception e) when (Note(e))
        {
            throw;
        }
        finally
        {
            FailureSite.Current = outer;
        }
    }

    /// <summary>Puts another module into the slot. Its parameters must keep their names, so that checkpoints fit.</summary>
    /// <param name="module">The new module. The old one is not disposed: the new one may use its parameters.</param>
    /// <param name="converter">Who replaces it, for messages.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Plugin"/> when another converter already replaced it, naming both, or when a linear layer would take the place of one of another shape.</exception>
    public void Replace(nn.Module<Tensor, Tensor> module, string converter)
    {
        if (IsWrapped)
            throw new TitanException(ExitCode.Plugin,
                $"converter '{converter}' would replace layer '{Fqn ?? Name}', around which '{ReplacedBy}' has put a layer; list '{converter}' first in model.converters, or exclude the layer from one of them");
        if (ReplacedBy is not null)
            throw new TitanException(ExitCode.Plugin,
                $"converters '{ReplacedBy}' and '{converter}' both claim layer '{Fqn ?? Name}'; exclude it from one of them (filter_fqns) or drop one from model.converters");
        Put(module, converter);
    }

    /// <summary>
    /// Puts a module around the one that is in the slot, whoever put it there: the new one runs the old one. A converter that wraps comes after those that replace
    /// in <c>model.converters</c>.
    /// </summary>
    /// <param name="module">The new module, usually a <see cref="LinearWrapper"/> of <see cref="Module"/>.</param>
    /// <param name="converter">Who wraps it, for messages.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Plugin"/> when a linear layer would become one of another shape.</exception>
    public void Wrap(nn.Module<Tensor, Tensor> module, string converter)
    {
        Put(module, ReplacedBy is null ? converter : $"{ReplacedBy}, {converter}");
        IsWrapped = true;
    }

    /// <summary>Whether a converter wrapped the module.</summary>
    private bool IsWrapped { get; set; }

    private void Put(nn.Module<Tensor, Tensor> module, string converter)
    {
        if (module is null) throw new TitanException(ExitCode.Plugin, $"converter '{converter}' puts null into layer '{Fqn ?? Name}'");
        if (module is ILinear next && Module is ILinear now && next.Shape != now.Shape)
            throw new TitanException(ExitCode.Plugin, $"converter '{converter}' puts a linear layer of {next.Shape} into layer '{Fqn ?? Name}', which is of {now.Shape}");
        replaced = Module as ILinear;
        ((IDictionary<string, nn.Module>)Children.GetValue(parent)!)[Name] = module;
        Module = module;
        ReplacedBy = converter;
    }

    /// <summary>Calls the module.</summary>
    private Activation Call(Activation x)
    {
        if (Module is not IActivationLayer layer) return new Activation(Checked(x.Values, Module.call(x.Values)));
        var y = layer.Forward(x);
        Checked(x.Values, y?.Values);
        return y!;
    }

    /// <summary>The result of the module; one that does not fit is an error here, where layer and converter are known.</summary>
    private Tensor Checked(Tensor x, Tensor? y)
    {
        if (ReplacedBy is null || LayerResult.Fault(x, y, (Module as ILinear)?.LocalShape.N ?? replaced?.Shape.N) is not { } fault) return y!;
        throw new TitanException(ExitCode.Plugin, $"layer {Fqn ?? Name}, put there by converter '{ReplacedBy}': forward returned {fault}") { Data = { [FailedType] = Module.GetType() } };
    }

    /// <summary>Leaves the layer's name on an exception that passes, and never catches it.</summary>
    private bool Note(Exception exception)
    {
        if (!exception.Data.Contains(FailedLayer)) exception.Data[FailedLayer] = Fqn ?? Name;
        return false;
    }

    private sealed class Site(ModuleSlot slot) : FailureSite
    {
        public override bool Note(Exception exception) => slot.Note(exception);
    }
}

/// <summary>A module whose replaceable children are in slots.</summary>
public interface ISlotOwner
{
    /// <summary>The slots, in order of construction.</summary>
    IReadOnlyList<ModuleSlot> Slots { get; }
}
