using System.Security.Cryptography;
using System.Text;
using TorchSharp;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>A model that the trainer can train: a batch of tokens to logits [B, S, V].</summary>
public abstract class LanguageModel(string name) : nn.Module<ModelInput, Tensor>(name)
{
    /// <summary>What is known of the model without building it.</summary>
    public abstract ModelCounts Counts { get; }

    /// <summary>The units that a parallelism gathers and activation checkpointing repeats, with their FQNs.</summary>
    public abstract IReadOnlyList<(string Fqn, nn.Module Module)> Blocks { get; }

    /// <summary>What a user should know of the model as it was built, for the run's log.</summary>
    public virtual IReadOnlyList<string> Notes => [];

    /// <summary>Whether attention stops at document borders, so that <see cref="ModelInput.Documents"/> must be given.</summary>
    public virtual bool ReadsDocuments => false;

    /// <summary>Called with a layer's FQN and its output when set; used to find the first non-finite output.</summary>
    public Action<string, Tensor>? Probe { get; set; }

    /// <summary>Dtype of activations; parameters keep theirs.</summary>
    public abstract void SetComputeType(ScalarType type);

    /// <summary>The parameters that converters added, by FQN: their converters fill them.</summary>
    public IReadOnlyDictionary<string, IModelConversion> Added { get; set; } = new Dictionary<string, IModelConversion>();

    /// <summary>The activation checkpointing of block <paramref name="index"/>.</summary>
    public abstract void SetCheckpointing(int index, BlockCheckpointing mode);

    /// <summary>How a parameter is filled at the start.</summary>
    /// <param name="fqn">Its name; of a layer that a converter put in, the name that it had in the model.</param>
    protected abstract Initializer InitializerOf(string fqn);

    /// <summary>Gives all layers the kernels of the run.</summary>
    public void UseKernels(IModelKernels kernels)
    {
        foreach (var user in this.named_modules().Select(m => m.module).OfType<IKernelUser>()) user.Kernels = kernels;
    }

    /// <summary>Fills all parameters from a seed, in their order. Does not depend on what converters did to the model, on the device, or on how many ranks share it.</summary>
    /// <param name="seed">The seed.</param>
    /// <param name="except">Parameters, by FQN, that stay as they are: something else fills them, and a part of them need not be drawn whole.</param>
    public void InitializeWeights(long seed, IReadOnlySet<string>? except = null)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        // TorchSharp's initialisers ignore a generator that is passed to them: seed the global one, and leave it afterwards as it was.
        var state = get_rng_state();
        manual_seed(seed);
        var parameters = ModelParameters.Of(this).Where(p => except?.Contains(p.Fqn) != true).ToList();
        foreach (var parameter in parameters.Where(p => !Added.ContainsKey(p.Fqn))) Fill(parameter, InitializerOf(parameter.Fqn).Fill);
        // Each from a stream of its own: what is added changes nothing else.
        foreach (var parameter in parameters.Where(p => Added.ContainsKey(p.Fqn)))
        {
            manual_seed(BitConverter.ToInt64(SHA256.HashData(Encoding.UTF8.GetBytes($"{seed} {parameter.Fqn}"))));
            Fill(parameter, whole => Added[parameter.Fqn].Initialize(parameter.Fqn, whole));
        }

        set_rng_state(state);
    }

    /// <summary>
    /// Drawn whole and on the CPU: the same seed gives the same weights on every device, and however many ranks share them. Of experts one after the other, since all together may not fit.
    /// </summary>
    private static void Fill(ModelParameter to, Action<Tensor> fill)
    {
        if (to.Layout.GlobalShape.Count == 3)
        {
            FillEach(to, fill);
            return;
        }

        using var scope = NewDisposeScope();
        var direct = to.Layout.IsWhole && to.Parameter.device_type == DeviceType.CPU;
        var drawn = direct ? to.Parameter : empty([.. to.Layout.GlobalShape], dtype: to.Parameter.dtype);
        fill(drawn);
        if (!direct) to.Parameter.copy_(to.Layout.Of(drawn));
    }

    private static void FillEach(ModelParameter to, Action<Tensor> fill)
    {
        long first = to.Layout.Offset[0], own = to.Layout.Shape[0];
        var entry = new ShardLayout([.. to.Layout.GlobalShape.Skip(1)], [.. to.Layout.Offset.Skip(1)], [.. to.Layout.Shape.Skip(1)]);
        using var scope = NewDisposeScope();
        var drawn = empty([.. entry.GlobalShape], dtype: to.Parameter.dtype);
        for (var e = 0L; e < to.Layout.GlobalShape[0]; e++)
        {
            using var step = NewDisposeScope();
            fill(drawn);
            if (e >= first && e < first + own) to.Parameter.select(0, e - first).copy_(entry.Of(drawn));
        }
    }
}
