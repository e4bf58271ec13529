using Titan.Abstractions;
using static Titan.Abstractions.TensorParallelStyle;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>A decoder-only transformer, with upstream's FQNs.</summary>
public sealed class Decoder : LanguageModel, ISlotOwner, ITensorParallelModel, IContextParallelModel, IExpertModel, IStepHooks, IMetricSource
{
    private readonly DecoderArgs args;
    private readonly int length;
    private readonly Embedding embeddings;
    private readonly List<TransformerBlock> blocks = [];
    private readonly INorm norm;
    private readonly Embedding? positions;
    private readonly ModuleSlot? output;
    private readonly TiedHead? tied;
    private RotaryAngles? angles;
    private (Tensor Positions, RotaryAngles Angles)? placed;
    private IReadOnlyList<Tensor> loads = [];

    /// <summary>Builds the model with uninitialised parameters.</summary>
    /// <param name="name">For messages: the family's.</param>
    /// <param name="args">Its arguments.</param>
    /// <param name="context">What it is built for.</param>
    public Decoder(string name, DecoderArgs args, ModelContext context) : base(name)
    {
        (this.args, length) = (args, context.Length);
        embeddings = new Embedding(args.Vocabulary, args.Dimension, context.Device, context.Type);
        register_module("tok_embeddings", embeddings);
        if (args.LearnedPositions is { } longest)
        {
            if (length > longest) throw new TitanException(ExitCode.Usage, $"a sequence of {length} tokens: model {name} has learned positions for {longest}; lower training.seq_len (and validation.seq_len)");
            positions = new Embedding(longest, args.Dimension, context.Device, context.Type);
            register_module("pos_embeddings", positions);
        }

        var layers = new BlockList();
        for (var i = 0; i < args.Layers; i++)
        {
            blocks.Add(new TransformerBlock(args.Block(i), args.Dimension, context));
            layers.register_module(i.ToString(), blocks[i]);
        }

        register_module("layers", layers);
        norm = args.Norm.Register(this, "norm", args.Dimension, context);
        if (args.TiedEmbeddings)
        {
            tied = new TiedHead(embeddings);
            register_module("output", tied);
        }
        else
        {
            output = new ModuleSlot(this, "output", new Linear(args.Dimension, args.Vocabulary, false, context.Device, context.Type));
        }
    }

    /// <inheritdoc />
    public override ModelCounts Counts => args.Counts;

    /// <inheritdoc />
    public IReadOnlyList<ModuleSlot> Slots => output is null ? [] : [output];

    /// <inheritdoc />
    public override IReadOnlyList<(string Fqn, nn.Module Module)> Blocks => [.. blocks.Select((b, i) => ($"layers.{i}", (nn.Module)b))];

    /// <inheritdoc />
    public override bool ReadsDocuments => args.DocumentMask;

    /// <inheritdoc />
    public override IReadOnlyList<string> Notes => args.Rotary is { Scaling: { } scaling } && !scaling.Serves(length)
        ? [$"sequences of {length} tokens are within the context of the first training: the rotary embedding is plain, and so is the softmax scale ({scaling.GetType().Name} serves longer ones)"]
        : [];

    /// <summary>
    /// The table over the vocabulary, the head colwise, norms on parts of the sequence, the rest as the halves of the blocks say. They and the head gather the sequence; what the
    /// halves give is scattered again.
    /// </summary>
    public TensorParallelPlan TensorParallelPlan
    {
        get
        {
            if (output is null || positions is not null)
                throw new TitanException(ExitCode.Usage, $"model {GetName()} has {(output is null ? "tied embeddings" : "learned positions")}, which tensor parallelism does not serve; set parallelism.tensor_parallel_degree = 1");
            var split = blocks.Select((b, i) => b.Split($"layers.{i}")).ToList();
            return new TensorParallelPlan(
                [new("tok_embeddings", VocabularyParallel), .. split.SelectMany(s => s.Layers), new("norm", SequenceParallel), new("output", Colwise)],
                embeddings, [.. split.SelectMany(s => s.Regions), new("output", output, ["output"], null)],
                [("heads", Counts.Heads), ("key and value heads", Counts.KvHeads), ("sequence length", length)]);
        }
    }

    /// <inheritdoc />
    public IReadOnlyList<(string Fqn, IAttentionLayer Layer)> AttentionLayers
    {
        get
        {
            // A rank that sees a part of a sequence does not see where its documents end.
            if (args.DocumentMask) throw Whole("its attention stops at document borders; use the plain flavor, or");
            foreach (var (i, block) in blocks.Index())
                if (block.Attention?.NeedsWholeSequences is { } why) throw Whole($"in layers.{i}.attention {why};");
            return [.. blocks.Select((b, i) => ($"layers.{i}.attention", b.Attention ?? throw Whole($"layers.{i}.attention mixes the tokens of a sequence in a way of its own (it is no IAttentionLayer);")))];

            TitanException Whole(string why) => new(ExitCode.Usage, $"model {GetName()} needs whole sequences: {why} set {MeshAxis.ContextParallel.DegreeKey()} = 1");
        }
    }

    /// <inheritdoc />
    public IReadOnlyList<(string Fqn, IExpertLayer Layer)> ExpertLayers => [.. Mixtures.Select(m => (m.Fqn, (IExpertLayer)m.Layer))];

    /// <inheritdoc />
    public IReadOnlyList<ModelMetric> Metrics => LoadMetrics.Of(Mixtures.Zip(loads, (mixture, load) => (mixture.Fqn, load)));

    private IEnumerable<(string Fqn, MixtureOfExperts Layer)> Mixtures => blocks.Index().Where(b => b.Item.Mixture is not null).Select(b => ($"layers.{b.Index}.moe", b.Item.Mixture!));

    /// <inheritdoc />
    public override void SetComputeType(ScalarType type)
    {
        embeddings.ComputeType = type;
        if (positions is not null) positions.ComputeType = type;
    }

    /// <inheritdoc />
    public override void SetCheckpointing(int index, BlockCheckpointing mode) => blocks[index].Checkpointing = mode;

    /// <inheritdoc />
    public override Tensor forward(ModelInput input)
    {
        using var scope = NewDisposeScope();
        using var masks = Masks(input);
        var context = new BlockContext(Angles(input), masks, new ExpertChoices(is_grad_enabled()));
        var stream = new ResidualStream(Embed(input), null);
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

        var (_, normed) = stream.Normalize(norm, output is { WantsInputAmax: true });
        using (normed)
        {
            Probe?.Invoke("norm", normed.Values);
            var logits = tied is not null ? tied.call(normed.Values) : output!.Forward(normed).Values;
            Probe?.Invoke("output", logits);
            return logits.MoveToOuterDisposeScope();
        }
    }

    /// <summary>Balances the experts.</summary>
    public void BeforeOptimizerStep(StepContext context)
    {
        foreach (var load in loads) load.Dispose();
        loads = ExpertLoad.Step([.. Mixtures.Select(m => m.Layer.Load)], context.Tokens);
    }

    /// <inheritdoc />
    public IReadOnlyList<PlannedCollective> Plan(IProcessGroup tokens) =>
        Mixtures.Any() ? [PlannedCollective.AllReduce(tokens, Mixtures.Sum(m => m.Layer.Count), 1, StepPhase.Optimizer, "the load of experts")] : [];

    /// <inheritdoc />
    protected override Initializer InitializerOf(string fqn) => args.Initialization(fqn);

    private Tensor Embed(ModelInput input)
    {
        var vectors = embeddings.call(input.Tokens);
        if (positions is null) return vectors;
        var place = input.Positions ?? arange(input.Tokens.shape[1], dtype: ScalarType.Int64, device: input.Tokens.device);
        // For every sequence, so that the gradient of a position is summed over them in fp32.
        using (vectors)
        using (var own = positions.call(place.expand(input.Tokens.shape))) return vectors + own;
    }

    private RotaryAngles? Angles(ModelInput input)
    {
        if (args.Rotary is not { } rotary) return null;
        angles ??= rotary.Angles(length, Counts.HeadDimension, input.Tokens.device);
        if (input.Positions is not { } positions) return angles;
        if (placed is { } known && ReferenceEquals(known.Positions, positions)) return known.Angles;
        // Backward reads them again: they stay until other positions come.
        placed?.Angles.Dispose();
        var own = angles.At(positions);
        placed = (positions, new RotaryAngles(own.Cos.DetachFromDisposeScope(), own.Sin.DetachFromDisposeScope(), own.Layout));
        return placed.Value.Angles;
    }

    private AttentionMasks Masks(ModelInput input)
    {
        if (args.DocumentMask && input.Documents is null) throw new ArgumentException("this model's attention stops at document borders: give ModelInput.Documents", nameof(input));
        return new AttentionMasks(input.Tokens.shape[1], input.Tokens.device, args.DocumentMask ? input.Documents : null);
    }

    private sealed class BlockList() : nn.Module("layers");
}
