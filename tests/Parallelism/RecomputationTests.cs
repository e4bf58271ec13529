using System.Security.Cryptography;
using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using Titan.Quantization.Linear;
using Titan.Quantization.Matmuls;
using Titan.Quantization.Scaling;
using Titan.Models;
using static TorchSharp.torch;

namespace Titan.Parallelism.Tests;

/// <summary>A converted layer whose forward runs again in backward.</summary>
public sealed class RecomputationTests
{
    private static readonly long[][] Shapes = [[16, 16], [2, 16, 16], [3, 2, 16, 16]];

    private static readonly ScalarType[] Types = [ScalarType.BFloat16, ScalarType.Float32];

    public static TheoryData<string> Recipes => [.. TinyJob.Recipes.Keys];

    [Theory]
    [MemberData(nameof(Recipes))]
    public void A_layer_that_is_computed_again_gives_the_same_bits(string recipe)
    {
        foreach (var type in Types)
        {
            foreach (var shape in Shapes)
            {
                foreach (var emulate in new[] { true, false })
                {
                    using var scope = NewDisposeScope();
                    var kept = Run(Described(recipe), shape, type, emulate, again: false);
                    var recomputed = Run(Described(recipe), shape, type, emulate, again: true);
                    foreach (var (a, b) in kept.Zip(recomputed)) Assert.Equal(0, a.ne(b).sum().item<long>());
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Recipes))]
    public void A_layer_that_is_computed_again_casts_to_the_same_bytes(string recipe)
    {
        foreach (var type in Types)
        {
            using var scope = NewDisposeScope();
            List<string> once = [], twice = [];
            Run(Recorded(Described(recipe), once), Shapes[1], type, emulate: false, again: false);
            Run(Recorded(Described(recipe), twice), Shapes[1], type, emulate: false, again: true);
            Assert.True(twice.Count > once.Count, $"{once.Count} casts, {twice.Count} when computed again");
            Assert.Equal(once.Distinct().Order(StringComparer.Ordinal), twice.Distinct().Order(StringComparer.Ordinal));
        }
    }

    private static LinearRecipe Described(string recipe) => TinyJob.Recipes[recipe].Describe(Activator.CreateInstance(TinyJob.Recipes[recipe].OptionsType)!);

    /// <summary>Output and gradients of two iterations, of a layer 16 -> 32 with a bias.</summary>
    private static List<Tensor> Run(LinearRecipe recipe, long[] shape, ScalarType type, bool emulate, bool again)
    {
        manual_seed(5);
        var x = randn(shape).to(type);
        var linear = new Linear(16, 32, hasBias: true);
        using (no_grad()) foreach (var (_, parameter) in linear.named_parameters()) parameter.normal_();
        var engine = new LinearEngine("test", recipe, DeviceCapability.Cpu, true, emulate, new MatmulCounter());
        var layer = new QuantizedLinear(linear, engine);
        var results = new List<Tensor>();
        for (var iteration = 0; iteration < 2; iteration++)
        {
            var leaf = x.detach().clone().requires_grad_();
            var y = again ? Recompute.Apply(inputs => [layer.call(inputs[0])], leaf)[0] : layer.call(leaf);
            y.backward([(y.detach() * 0.7).cos()]);
            BackwardFailure.ThrowIfAny();
            engine.AfterOptimizerStep();
            results.AddRange([y.detach(), leaf.grad!, layer.Weight.Parameter.grad!.clone(), layer.Bias!.Parameter.grad!.clone()]);
        }

        return results;
    }

    /// <summary>The recipe with casts that note the bytes and scales that they make.</summary>
    private static LinearRecipe Recorded(LinearRecipe recipe, List<string> casts)
    {
        return new LinearRecipe(Of(recipe.Output), Of(recipe.GradInput), Of(recipe.GradWeight));

        MatmulRecipe Of(MatmulRecipe matmul) => matmul.IsHighPrecision ? matmul
            : new MatmulRecipe(new OperandCast.Custom(new Recorder((OperandCast.Scaled)matmul.Left, casts)), new OperandCast.Custom(new Recorder((OperandCast.Scaled)matmul.Right, casts)));
    }

    private sealed class Recorder(OperandCast.Scaled cast, List<string> casts) : IQuantizer
    {
        public string Name => "recorder";

        public Tensor QuantizeDequantize(Tensor operand)
        {
            using var quantized = QuantizedTensor.Cast(operand, cast, 1, CastKernels.Fused);
            casts.Add(Convert.ToHexString(SHA256.HashData([.. Bytes(quantized.Data), .. Bytes(quantized.Scale.reshape(-1))])));
            using var values = quantized.Dequantize();
            using var part = values.narrow(1, 0, operand.shape[1]);
            return part.to(operand.dtype, copy: true);
        }

        private static byte[] Bytes(Tensor x)
        {
            using var scope = NewDisposeScope();
            return x.dtype == ScalarType.Float32
                ? [.. x.contiguous().data<float>().ToArray().SelectMany(BitConverter.GetBytes)]
                : AtenGateway.ViewDtype(x.contiguous(), ScalarType.Byte).data<byte>().ToArray();
        }
    }
}
