using TorchSharp;
using Titan.Abstractions;
using Titan.Kernels.Activations;
using Titan.Kernels.Fused;
using Titan.Kernels.ModelOps;
using Titan.Kernels.Matmuls;
using static TorchSharp.torch;

namespace Titan.Training.Models.Llama3;

/// <summary>Llama 3, with upstream's FQNs and initialisation. Untied embeddings, no biases.</summary>
public sealed class Llama3Model : LanguageModel, ISlotOwner, ITensorParallelModel
{
    private readonly Llama3Args args;
    private readonly int length;
    private readonly Embedding embeddings;
    private readonly List<TransformerBlock> blocks = [];
    private readonly RmsNorm norm;
    private readonly ModuleSlot output;
    private (Tensor Cos, Tensor Sin, RotaryTable? Fused)? tables;
    private bool fused;

    /// <summary>Builds the model with uninitialised parameters.</summary>
    /// <param name="args">Its arguments.</param>
    /// <param name="length">The longest sequence.</param>
    /// <param name="device">Where; meta allocates nothing.</param>
    /// <param name="type">Dtype of the parameters.</param>
    public Llama3Model(Llama3Args args, int length, Device device, ScalarType type) : base(nameof(Llama3Model))
    {
        (this.args, this.length) = (args, length);
        embeddings = new Embedding(args.Vocabulary, args.Dimension, device, type);
        register_module("tok_embeddings", embeddings);
        var layers = new BlockList();
        for (var i = 0; i < args.Layers; i++)
        {
            blocks.Add(new TransformerBlock(args, device, type));
            layers.register_module(i.ToString(), blocks[i]);
        }

        register_module("layers", layers);
        norm = new RmsNorm(args.Dimension, args.NormEpsilon, device, type);
        register_module("norm", norm);
        output = new ModuleSlot(this, "output", new Linear(args.Dimension, args.Vocabulary, false, device, type));
    }

    /// <inheritdoc />
    public override ModelCounts Counts => args.Counts;

    /// <inheritdoc />
    public IReadOnlyList<ModuleSlot> Slots => [output];

    /// <inheritdoc />
    public override IReadOnlyList<(string Fqn, nn.Module Module)> Blocks => [.. blocks.Select((b, i) => ($"layers.{i}", (nn.Module)b))];

    /// <inheritdoc />
    public TensorParallelPlan TensorParallelPlan => Llama3TensorParallelPlan.Of(args, length, embeddings, [.. blocks.Select(b => (b.AttentionBoundary, b.FeedForwardBoundary))], output);

    /// <summary>The token that ends a document, for the flavors whose attention stops at document borders.</summary>
    public int? EndOfDocument { get; set; }

    /// <inheritdoc />
    public override void SetComputeType(ScalarType type) => embeddings.ComputeType = type;

    /// <inheritdoc />
    public override void SetCheckpointing(int index, BlockCheckpointing mode) => blocks[index].Checkpointing = mode;

    /// <inheritdoc />
    public override void UseFusedKernels()
    {
        foreach (var block in blocks) block.UseFusedKernels();
        norm.Kernel = NormKernel.Instance;
        foreach (var linear in new ModelSlots(this).All.Select(s => s.Slot.Module).OfType<Linear>()) linear.Kernel = HighPrecisionProduct.Multiply;
        fused = true;
    }

    /// <inheritdoc />
    public override Tensor forward(Tensor tokens)
    {
        using var scope = NewDisposeScope();
        tables ??= Tables(tokens.device);
        var context = new BlockContext(tables.Value.Cos, tables.Value.Sin, tables.Value.Fused, args.DocumentMask ? DocumentMask(tokens) : null);
        var stream = new ResidualStream(embeddings.call(tokens), null);
        Probe?.Invoke("tok_embeddings", stream.Sum);
        for (var i = 0; i < blocks.Count; i++)
        {
            var next = blocks[i].call(stream, context);
            // The first block normalises the stream as it is, and hands it on.
            if (!ReferenceEquals(next.Sum, stream.Sum)) stream.Sum.Dispose();
            stream.Addend?.Values.Dispose();
            stream = next;
            Probe?.Invoke($"layers.{i}", stream.Total());
        }

        var (_, normed) = stream.Normalize(norm, output.WantsInputAmax);
        using (normed)
        {
            Probe?.Invoke("norm", normed.Values);
            var logits = output.Forward(normed).Values;
            Probe?.Invoke("output", logits);
            return logits.MoveToOuterDisposeScope();
        }
    }

    /// <inheritdoc />
    public override void InitializeWeights(long seed)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        // TorchSharp's initialisers ignore a generator that is passed to them: seed the global one, and leave it afterwards as it was.
        var state = get_rng_state();
        manual_seed(seed);
        foreach (var (fqn, parameter, layout, _) in ModelParameters.Of(this))
        {
            // Drawn whole and on the CPU: the same seed gives the same weights on every device, and however many ranks share them.
            using var one = NewDisposeScope();
            var direct = layout.IsWhole && parameter.device_type == DeviceType.CPU;
            var drawn = direct ? parameter : empty([.. layout.GlobalShape], dtype: parameter.dtype);
            if (fqn == "tok_embeddings.weight") nn.init.normal_(drawn, 0, 1);
            else if (fqn == "output.weight")
            {
                var deviation = Math.Pow(args.Dimension, -0.5);
                TruncatedNormal.Fill(drawn, deviation, 3 * deviation);
            }
            else if (fqn.EndsWith("norm.weight", StringComparison.Ordinal)) nn.init.ones_(drawn);
            else TruncatedNormal.Fill(drawn, Deviation(fqn), 2);
            if (!direct) parameter.copy_(layout.Of(drawn));
        }

        set_rng_state(state);
    }

    private (Tensor Cos, Tensor Sin, RotaryTable? Fused) Tables(Device device)
    {
        var (cos, sin) = RotaryEmbedding.Tables(length, args.HeadDimension, args.RopeTheta, device);
        return (cos, sin, fused && device.type is DeviceType.CPU or DeviceType.CUDA ? new RotaryTable(cos, sin) : null);
    }

    /// <summary>0.02 where a layer reads the residual stream, less with depth where it writes to it (upstream: wo, w2 and w3).</summary>
    private static double Deviation(string fqn)
    {
        var parts = fqn.Split('.');
        return parts[^2] is "wo" or "w2" or "w3" ? 0.02 / Math.Sqrt(2 * (int.Parse(parts[1]) + 1)) : 0.02;
    }

    /// <summary>[B, 1, S, S]: causal, and within one document. A document ends with its end token.</summary>
    private Tensor DocumentMask(Tensor tokens)
    {
        if (EndOfDocument is not { } end)
            throw new TitanException(ExitCode.Data, "this flavor's attention stops at document borders, but the tokenizer has no end-of-document token; use the plain flavor");
        var ended = tokens.eq(end).to(ScalarType.Int64);
        var document = ended.cumsum(1) - ended;
        var same = document.unsqueeze(2).eq(document.unsqueeze(1));
        var s = tokens.shape[1];
        return same.logical_and(ones(s, s, dtype: ScalarType.Bool, device: tokens.device).tril()).unsqueeze(1);
    }

    private sealed class BlockList() : nn.Module("layers");
}
