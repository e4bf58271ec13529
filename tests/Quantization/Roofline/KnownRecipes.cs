using Titan.Abstractions;

namespace Titan.Quantization.Tests.Roofline;

/// <summary>Upstream's recipes as data, and some that upstream does not have.</summary>
internal static class KnownRecipes
{
    private static readonly OperandCast Block = E4M3.Block(32, ScaleRounding.RoundUp);

    private static readonly OperandCast SquareTile = new OperandCast.Scaled(Float8Format.E4M3, new ScaleGranularity.Tile(32, 32), ScaleRounding.RoundUp);

    private static readonly OperandCast TensorwisePowerOfTwo = new OperandCast.Scaled(Float8Format.E4M3, new ScaleGranularity.Tensorwise(), ScaleRounding.PowerOfTwo);

    private static readonly OperandCast Own = new OperandCast.Custom(new Halve());

    public static LinearRecipe Of(string name) => name switch
    {
        "tensorwise" => new(new(E4M3.Tensorwise, E4M3.Tensorwise, FastAccumulation: true), new(E5M2.Tensorwise, E4M3.Tensorwise), new(E5M2.Tensorwise, E4M3.Tensorwise)),
        "rowwise" => new(new(E4M3.Rowwise, E4M3.Rowwise, FastAccumulation: true), new(E4M3.Rowwise, E4M3.Rowwise), new(E4M3.Rowwise, E4M3.Rowwise)),
        "rowwise_with_gw_hp" => new(new(E4M3.Rowwise, E4M3.Rowwise, FastAccumulation: true), new(E4M3.Rowwise, TensorwisePowerOfTwo), MatmulRecipe.HighPrecision),
        "mxfp8" => new(new(Block, Block), new(Block, Block), new(Block, Block)),
        "mxfp8 with 32x32 weights" => new(new(Block, SquareTile), new(Block, SquareTile), new(Block, Block)),
        "nothing" => new(MatmulRecipe.HighPrecision, MatmulRecipe.HighPrecision, MatmulRecipe.HighPrecision),
        "custom" => new(new(Own, Own), new(Own, Own), new(Own, Own)),
        "only grad_weight, tensorwise" => new(MatmulRecipe.HighPrecision, MatmulRecipe.HighPrecision, new(E5M2.Tensorwise, E4M3.Tensorwise)),
        "only grad_weight, rowwise" => new(MatmulRecipe.HighPrecision, MatmulRecipe.HighPrecision, new(E4M3.Rowwise, E4M3.Rowwise)),
        "tensorwise, grad_weight rowwise" => new(new(E4M3.Tensorwise, E4M3.Tensorwise), new(E4M3.Tensorwise, E4M3.Tensorwise), new(E4M3.Rowwise, E4M3.Rowwise)),
        _ => throw new ArgumentOutOfRangeException(nameof(name), name, "no such recipe"),
    };

    private sealed class Halve : IQuantizer
    {
        public string Name => "halve";

        public TorchSharp.torch.Tensor QuantizeDequantize(TorchSharp.torch.Tensor operand) => operand / 2;
    }
}
