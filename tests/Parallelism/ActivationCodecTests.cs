using Titan.Abstractions;
using Titan.Distributed;
using Titan.Kernels.Activations;
using Titan.Kernels.Aten;
using Titan.Plugins.Parallelism;
using Titan.Quantization.Linear;
using Titan.Quantization.Matmuls;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Parallelism.Tests;

public sealed class ActivationCodecTests
{
    private const int B = 2, S = 128, K = 64, N = 96;

    [Theory]
    [InlineData("tensorwise", 2, true)]
    [InlineData("tensorwise", 4, true)]
    [InlineData("mxfp8_cublas", 2, true)]
    [InlineData("mxfp8_rceil", 4, true)]
    [InlineData("mxfp8_cublas", 4, false)]
    [InlineData("rowwise", 2, false)]
    [InlineData("rowwise_with_gw_hp", 2, false)]
    public void Gathered_bytes_and_scales_are_those_of_casting_the_whole(string recipe, int ranks, bool forBackward)
    {
        var (x, g) = (Wave(K, 0.3), Wave(N, 1e-3));
        var one = Engine(recipe);
        var casts = one.Recipe;
        var results = ThreadRanks.Run(new ParallelDimensions(TensorParallel: ranks), mesh =>
        {
            var group = mesh.Group(MeshAxis.TensorParallel);
            var engine = Engine(recipe);
            var (values, bytes) = Gather(x, group, engine.InputCodec, forBackward);
            var input = new Activation(values);
            engine.InputCodec.Attach(input, bytes);
            var found = new List<Operand?> { input.Find<InputCast>(engine.Key(casts.Output.Left, 1))?.Take() };
            if (forBackward) found.Add(input.Find<InputCast>(engine.Key(casts.GradWeight.Right, engine.SharesInputCast ? 1 : 0))?.Take());
            if (!forBackward) return found;
            var (gradient, planes) = Gather(g, group, engine.GradientCodec, true);
            var note = new GradientNote(wantsAmax: false);
            engine.GradientCodec.Attach(note, gradient, planes);
            var known = KnownGradient.Of(note, gradient)!;
            found.Add(Cast(casts.GradInput.Left, 1));
            // One cast serves both uses, or each has its own.
            found.Add(engine.SharesGradientCast ? found[^1] : Cast(casts.GradWeight.Left, 0));

            Operand? Cast(OperandCast cast, int contracted) => known.Casts.FirstOrDefault(c => c.Key.Equals(engine.Key(cast, contracted))).Cast as Operand;

            return found;
        });
        Tensor rows = x.reshape(-1, K), gradients = g.reshape(-1, N);
        var expected = new List<Operand> { one.Cast(rows, casts.Output.Left, 1) };
        if (forBackward) expected.AddRange([one.Cast(rows, casts.GradWeight.Right, 0), one.Cast(gradients, casts.GradInput.Left, 1), one.Cast(gradients, casts.GradWeight.Left, 0)]);
        foreach (var rank in results)
        {
            foreach (var (want, have) in expected.Zip(rank))
            {
                Assert.NotNull(have);
                Assert.True(Bytes(want.Quantized!.Data).equal(Bytes(have!.Quantized!.Data)).all().item<bool>(), "data");
                Assert.Equal(want.Quantized.Scale.shape, have.Quantized.Scale.shape);
                Assert.True(Bytes(want.Quantized.Scale).equal(Bytes(have.Quantized.Scale)).all().item<bool>(), "scale");
            }
        }
    }

    [Theory]
    [InlineData("rowwise")]
    [InlineData("rowwise_with_gw_hp")]
    public void What_needs_the_other_ranks_tokens_travels_in_its_own_dtype(string recipe)
    {
        var engine = Engine(recipe);
        Assert.Null(engine.InputCodec.Encode(Wave(K, 1), null, true, a => a.alias()));
        Assert.Null(engine.GradientCodec.Encode(Wave(N, 1), null, true, a => a.alias()));
        Assert.Equal("the compute dtype", engine.InputCodec.Describe(true));
    }

    [Fact]
    public void Blocks_that_a_border_between_ranks_would_cut_do_not_travel() => Assert.Null(Engine("mxfp8_cublas").InputCodec.Encode(Wave(K, 1).narrow(1, 0, 48), null, true, a => a.alias()));

    [Fact]
    public void A_layer_takes_the_bytes_that_came_and_not_a_cast_of_its_own()
    {
        // Bytes of zeros in the place of those that came: what is zero then was computed from them.
        var engine = Engine("tensorwise");
        var layer = new QuantizedLinear(Filled(), engine);
        var group = new SingleRankGroup("tp");
        var x = Wave(K, 1).requires_grad_(true);
        using var read = SequenceGather.Apply(new Activation(x), group, new Zeroing(engine.InputCodec));
        var y = SequenceScatter.Apply(layer.Forward(read), group, new Zeroing(engine.GradientCodec)).Values;
        Assert.Equal(0, y.abs().max().item<float>());
        (y * Wave(N, 1)).sum().backward();
        BackwardFailure.ThrowIfAny();
        Assert.Equal(0, x.grad!.abs().max().item<float>());
    }

    [Theory]
    [InlineData("tensorwise", WeightUse.Output, false)]
    [InlineData("rowwise_with_gw_hp", WeightUse.GradInput, true)]
    public void Weights_have_one_scale_over_all_ranks_which_is_rounded_where_the_recipe_says_so(string recipe, WeightUse use, bool powerOfTwo)
    {
        var one = Engine(recipe);
        var layer = Filled();
        using var whole = one.CastWeight("w", null, layer.Weight.Parameter, use, layer.Weight, bothWays: false);
        Assert.Equal(powerOfTwo, (BitConverter.SingleToUInt32Bits(whole.Quantized!.Scale.item<float>()) & 0x7fffff) == 0);
        var parts = ThreadRanks.Run(new ParallelDimensions(TensorParallel: 2), mesh =>
        {
            var group = mesh.Group(MeshAxis.TensorParallel);
            var layout = layer.Weight.Layout.Narrow(0, group.Rank * N / 2, N / 2);
            var source = new SplitWeight(new TorchSharp.Modules.Parameter(layout.Of(layer.Weight.Parameter.detach()).clone()), layout, 1, group);
            return Engine(recipe).CastWeight("w", null, source.Parameter, use, source, bothWays: false).Quantized!;
        });
        Assert.All(parts, p => Assert.Equal(whole.Quantized.Scale.item<float>(), p.Scale.item<float>()));
        Assert.True(Bytes(whole.Quantized.Data).equal(cat([.. parts.Select(p => Bytes(p.Data))], 0)).all().item<bool>());
    }

    private static (Tensor Values, EncodedActivation Bytes) Gather(Tensor whole, IProcessGroup group, IActivationCodec codec, bool forBackward)
    {
        var length = S / group.Size;
        var arrived = new Arrived();
        var part = whole.narrow(1, group.Rank * length, length);
        // Known or looked for, the amax is the same.
        var parts = group.Rank == 0 ? part.abs().amax([0, 2]) : null;
        var gathered = EncodedGather.Run(part, parts, group, codec, forBackward, arrived);
        Assert.NotNull(arrived.Encoded);
        return (gathered, arrived.Encoded!);
    }

    private static LinearEngine Engine(string recipe)
    {
        var r = TinyJob.Recipes[recipe];
        return new LinearEngine(recipe, r.Describe(Activator.CreateInstance(r.OptionsType)!), DeviceCapability.Cpu, true, false, new MatmulCounter());
    }

    private static Linear Filled()
    {
        var layer = new Linear(K, N);
        using var none = no_grad();
        layer.Weight.Parameter.copy_((arange(N * K, dtype: ScalarType.Float32) * 0.7).cos().reshape(N, K));
        return layer;
    }

    /// <summary>[B, S, F]; every rank's largest is another.</summary>
    private static Tensor Wave(long f, double size)
    {
        var x = arange(B * S * f, dtype: ScalarType.Float32);
        return ((x * 0.37).sin() * (x / (B * S * f) + 0.1) * size).reshape(B, S, f);
    }

    private static Tensor Bytes(Tensor x) => x.dtype == ScalarType.Float32 ? x : AtenGateway.ViewDtype(x.contiguous(), ScalarType.Byte);

    private sealed class Zeroing(IActivationCodec inner) : IActivationCodec
    {
        public string Describe(bool forBackward) => inner.Describe(forBackward);

        public EncodedActivation? Encode(Tensor part, Tensor? amaxParts, bool forBackward, Func<Tensor, Tensor> reduceAmax) => inner.Encode(part, amaxParts, forBackward, reduceAmax);

        public Tensor Decode(EncodedActivation whole, ScalarType type) => inner.Decode(whole, type);

        public void Attach(Activation activation, EncodedActivation whole) => inner.Attach(activation, Zeros(whole));

        public void Attach(GradientNote note, Tensor gradient, EncodedActivation whole) => inner.Attach(note, gradient, Zeros(whole));

        private static EncodedActivation Zeros(EncodedActivation whole) => whole with { Planes = [.. whole.Planes.Select(p => zeros_like(p))] };
    }
}
