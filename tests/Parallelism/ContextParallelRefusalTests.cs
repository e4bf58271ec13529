using Titan.Abstractions;
using Titan.Models;
using Titan.Models.Llama3;
using Titan.Plugins.ContextParallel;
using static TorchSharp.torch;

namespace Titan.Parallelism.Tests;

/// <summary>A model whose tokens look at each other where no rank would know of it would train wrongly and say nothing: it is refused, in a plan as in a run.</summary>
public sealed class ContextParallelRefusalTests
{
    private static readonly Llama3Args Args = new(64, 2, 4, 2, 160, MultipleOf: 64);

    [Fact]
    public void A_model_that_does_not_say_where_its_tokens_look_at_each_other_is_refused() =>
        Refused(new Linear(8, 8, false, META, ScalarType.Float32), "does not say where its tokens look at each other (IContextParallelModel); set parallelism.context_parallel_degree = 1");

    [Fact]
    public void Attention_that_stops_at_document_borders_is_refused() =>
        Refused((Args with { DocumentMask = true }).Build(new ModelContext(32, META, ScalarType.Float32)), "model Llama3Model needs whole sequences: its attention stops at document borders");

    [Fact]
    public void A_half_of_a_block_that_mixes_tokens_in_its_own_way_is_refused()
    {
        var decoder = Args.Decoder;
        var mixing = decoder with { Block = i => i == 0 ? decoder.Block(0) : decoder.Block(i) with { Attention = new MeanArgs() } };
        Refused(new Decoder("Mixer", mixing, new ModelContext(32, META, ScalarType.Float32)), "model Mixer needs whole sequences: layers.1.attention mixes the tokens of a sequence in a way of its own");
    }

    private static void Refused(nn.Module model, string says)
    {
        var context = new ParallelizationContext(model, [], ThreadRanks.Alone(new ParallelDimensions(ContextParallel: 2)), MeshAxis.ContextParallel, new ContextParallelOptions());
        foreach (var ask in new Func<object>[] { () => new ContextParallel().Plan(context), () => new ContextParallel().Apply(context) })
        {
            var e = Assert.Throws<TitanException>(ask);
            Assert.Equal(ExitCode.Usage, e.Code);
            Assert.Contains(says, e.Message, StringComparison.Ordinal);
        }
    }

    private sealed record MeanArgs : SublayerArgs
    {
        public override long Parameters(long dimension) => 0;

        public override Sublayer Create(long dimension, ModelContext context) => new Mean();
    }

    /// <summary>Each token sees the mean of its sequence.</summary>
    private sealed class Mean() : Sublayer(nameof(Mean))
    {
        public override IReadOnlyList<ModuleSlot> Slots => [];

        public override SublayerSplit Split => new([], [], "");

        protected override Activation Compute(Activation x, BlockContext context) => new(x.Values.mean([1], keepdim: true).expand(x.Values.shape).contiguous());
    }
}
