using Titan.Models;

/// <summary>A family whose every flavor is wrong in its own way.</summary>
[ExportModel("acme_model_gaps")]
public sealed class Gaps : IModelFamily
{
    private static readonly DecoderArgs Args = new(32, 1, 2048, new NormArgs.Rms(1e-5), _ => new(new NormArgs.Rms(1e-5), new AttentionArgs(2, 2, 16), new SwiGluArgs(64)), _ => new Initializer.Normal(0.02));

    public IReadOnlyDictionary<string, ModelFlavor> Flavors { get; } = new Dictionary<string, ModelFlavor>
    {
        ["build_throws"] = new(Args.Counts, _ => throw new InvalidOperationException("thrown by Build")),
        ["build_null"] = new(Args.Counts, _ => null!),
        ["miscounts"] = new(Args.Counts with { Parameters = 12 }, Build),
        ["no_block"] = new(Args.Counts, context => new Wrapped(context, y => y, blocks: 0)),
        ["narrow_logits"] = new(Args.Counts, context => new Wrapped(context, y => y.narrow(-1, 0, 2047))),
        ["flat_logits"] = new(Args.Counts, context => new Wrapped(context, y => y.reshape(-1, 2048))),
        ["null_logits"] = new(Args.Counts, context => new Wrapped(context, _ => null!)),
        ["forward_throws"] = new(Args.Counts, context => new Wrapped(context, _ => throw new InvalidOperationException("thrown by forward"))),
    };

    private static LanguageModel Build(ModelContext context) => new Decoder("Gaps", Args, context);

    /// <summary>A model of its own around another.</summary>
    private sealed class Wrapped : LanguageModel
    {
        private readonly Decoder inner;
        private readonly Func<Tensor, Tensor> change;
        private readonly int blocks;

        public Wrapped(ModelContext context, Func<Tensor, Tensor> change, int blocks = 1) : base(nameof(Wrapped))
        {
            (inner, this.change, this.blocks) = (new Decoder("Inner", Args, context), change, blocks);
            register_module("inner", inner);
        }

        public override ModelCounts Counts => inner.Counts;

        public override IReadOnlyList<(string Fqn, nn.Module Module)> Blocks => [.. inner.Blocks.Take(blocks).Select(b => ($"inner.{b.Fqn}", b.Module))];

        public override void SetComputeType(ScalarType type) => inner.SetComputeType(type);

        public override void SetCheckpointing(int index, BlockCheckpointing mode) => inner.SetCheckpointing(index, mode);

        public override Tensor forward(ModelInput input) => change(inner.call(input));

        protected override Initializer InitializerOf(string fqn) => new Initializer.Normal(0.02);
    }
}
