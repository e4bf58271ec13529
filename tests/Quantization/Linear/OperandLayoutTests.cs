using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using Titan.Quantization.Linear;
using Titan.Quantization.Matmuls;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Linear;

/// <summary>What the tensor cores read along the contracted dimension lies so from the cast on, as it does on CUDA; shown with kernels and matmuls that run anywhere.</summary>
public sealed class OperandLayoutTests
{
    [Theory]
    [InlineData("tensorwise", 0, 0, 3)]
    [InlineData("rowwise", 3, 3, 0)]
    [InlineData("rowwise_with_gw_hp", 3, 1, 0)]
    public void No_operand_of_a_layers_matmuls_is_copied_and_the_results_are_those_of_casts_along_rows(string recipe, int rows, int columns, int both)
    {
        using var scope = NewDisposeScope();
        manual_seed(5);
        Tensor w = randn(48, 32), x = randn(64, 32).to(ScalarType.BFloat16), g = randn(64, 48).to(ScalarType.BFloat16);
        var kernels = new TransposingKernels();
        var matmul = new LayoutCheck(kernels);
        var engine = new LinearEngine("float8/test", Numbers.All[recipe], kernels, _ => matmul, new MatmulCounter());
        var actual = Numbers.Run(new QuantizedLinear(Numbers.Layer(w), engine), x, g);
        var expected = Numbers.Run(new QuantizedLinear(Numbers.Layer(w), Numbers.Engine(Numbers.All[recipe])), x, g);
        foreach (var (e, a) in new[] { (expected.Y, actual.Y), (expected.GradX, actual.GradX), (expected.GradW, actual.GradW) })
            Assert.Equal(0, e.ne(a).sum().item<long>());
        Assert.Equal((rows, columns, both), (kernels.Rows, kernels.Columns, kernels.Both));
        Assert.Equal(Numbers.All[recipe].GradWeight.Left is OperandCast.HighPrecision ? 2 : 3, matmul.Calls);
    }

    [Fact]
    public void Backward_keeps_one_copy_of_the_input_that_lies_as_the_weights_gradient_reads_it()
    {
        using var scope = NewDisposeScope();
        var kernels = new TransposingKernels();
        var matmul = new LayoutCheck(kernels);
        var engine = new LinearEngine("float8/test", Numbers.Tensorwise, kernels, _ => matmul, new MatmulCounter());
        Numbers.Run(new QuantizedLinear(Numbers.Layer(randn(48, 32)), engine), randn(64, 32), randn(64, 48));
        // The last matmul is grad_weight: Gᵀ comes with both its copies, X with the one that was kept.
        Assert.True(matmul.LeftHasBoth);
        Assert.False(matmul.RightHasBoth);
    }

    [Fact]
    public void Where_nothing_is_differentiated_the_input_is_written_along_rows_only()
    {
        using var scope = NewDisposeScope();
        var kernels = new TransposingKernels();
        var engine = new LinearEngine("float8/test", Numbers.Tensorwise, kernels, _ => new LayoutCheck(kernels), new MatmulCounter());
        using var none = no_grad();
        new QuantizedLinear(Numbers.Layer(randn(48, 32)), engine).call(randn(64, 32));
        Assert.Equal((2, 0, 0), (kernels.Rows, kernels.Columns, kernels.Both));
    }

    [Theory]
    [InlineData(64), InlineData(37)]
    public void The_scaled_matmul_gives_what_decoding_gives_whatever_the_number_of_tokens(int tokens)
    {
        using var scope = NewDisposeScope();
        manual_seed(6);
        Tensor w = randn(48, 32), x = randn(tokens, 32), g = randn(tokens, 48);
        var kernels = new TransposingKernels();
        var engine = new LinearEngine("float8/test", Numbers.Tensorwise, kernels, k => new ScaledMmMatmul(k), new MatmulCounter());
        var actual = Numbers.Run(new QuantizedLinear(Numbers.Layer(w), engine), x, g);
        var expected = Numbers.Run(new QuantizedLinear(Numbers.Layer(w), Numbers.Engine(Numbers.Tensorwise, emulate: true)), x, g);
        foreach (var (e, a) in new[] { (expected.Y, actual.Y), (expected.GradX, actual.GradX), (expected.GradW, actual.GradW) })
            Assert.True(Numbers.Sqnr(e, a) > 100, $"{Numbers.Sqnr(e, a):F1} dB");
    }

    [Fact]
    public void A_tensor_with_two_copies_turns_without_moving_a_byte_and_its_aliases_have_both()
    {
        using var scope = NewDisposeScope();
        var kernels = new TransposingKernels();
        var tensorwise = (OperandCast.Scaled)Numbers.Tensorwise.Output.Left;
        var q = QuantizedTensor.Cast(randn(32, 48), tensorwise, LinearEngine.AlongRows, kernels, layout: OperandLayout.Both);
        Assert.Equal(Numbers.Bytes(q.Data.t()), Numbers.Bytes(q.Transposed!));
        var turned = q.Transpose();
        Assert.Equal(TensorMemory.Address(q.Transposed!), TensorMemory.Address(turned.Data));
        Assert.Equal(TensorMemory.Address(q.Data), TensorMemory.Address(turned.Transposed!));
        Assert.Equal(TensorMemory.Address(q.Transposed!), TensorMemory.Address(q.AlongColumns()));
        Assert.Equal([32, 48], q.AlongColumns().shape);
        // Longer, the second copy would no longer be the same elements.
        Assert.Null(Padding.Extend(q, 1, 64).Transposed);
    }

    /// <summary>Plain casts that can write the transposed matrix, as the CUDA kernels do.</summary>
    private sealed class TransposingKernels : ITransposingCastKernels
    {
        private readonly ICastKernels own = CastKernels.Plain;

        public string Name => "test";

        public int Rows { get; private set; }

        public int Columns { get; private set; }

        public int Both { get; private set; }

        public Tensor Amax(Tensor x) => own.Amax(x);

        public Tensor AmaxAlong(Tensor x, int dimension) => own.AmaxAlong(x, dimension);

        public Tensor Cast(Tensor x, Tensor scale, Float8Format format)
        {
            Rows++;
            return own.Cast(x, scale, format);
        }

        public Tensor CastTransposed(Tensor x, Tensor scale, Float8Format format)
        {
            Columns++;
            using var data = own.Cast(x, scale, format);
            using var view = data.t();
            return view.contiguous();
        }

        public (Tensor Data, Tensor Transposed) CastBoth(Tensor x, Tensor scale, Float8Format format)
        {
            Both++;
            var data = own.Cast(x, scale, format);
            using var view = data.t();
            return (data, view.contiguous());
        }

        public (Tensor Data, Tensor Scale) CastBlocks(Tensor x, int dimension, int length, Float8Format format, ScaleRounding rounding) =>
            own.CastBlocks(x, dimension, length, format, rounding);

        public Tensor Decode(Tensor data, ScalarType type) => own.Decode(data, type);

        public Tensor DecodeBlocks(Tensor data, Tensor scale, ScalarType type) => own.DecodeBlocks(data, scale, type);

        public Tensor Rescale(Tensor product, Tensor left, Tensor right, ScalarType type) => own.Rescale(product, left, right, type);
    }

    /// <summary>Checks that the tensor cores' matmul would take its operands' memory as it is, then multiplies on the CPU.</summary>
    private sealed class LayoutCheck(ICastKernels kernels) : IFloat8Matmul
    {
        private readonly DecodedMatmul own = new(kernels);

        public string Name => "layout check";

        public bool ReadsAlongContracted => true;

        public int Calls { get; private set; }

        public bool LeftHasBoth { get; private set; }

        public bool RightHasBoth { get; private set; }

        public Tensor Multiply(QuantizedTensor left, QuantizedTensor right, ScalarType type, bool fastAccumulation, bool wide = false)
        {
            Calls++;
            (LeftHasBoth, RightHasBoth) = (left.Transposed is not null, right.Transposed is not null);
            var (a, b) = ScaledMmMatmul.Oriented(left, right);
            Assert.True(a.is_contiguous() && b.t().is_contiguous());
            Assert.Equal(TensorMemory.Address(left.Data), TensorMemory.Address(a));
            Assert.Equal(TensorMemory.Address(right.Transposed ?? right.Data), TensorMemory.Address(b));
            return own.Multiply(left, right, type, fastAccumulation, wide);
        }
    }
}
