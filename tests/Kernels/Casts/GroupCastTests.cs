using CsCheck;
using Titan.Kernels.Casts;
using Titan.Kernels.Tests.Cuda;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Casts;

/// <summary>The casts of experts on the CPU.</summary>
public sealed class GroupCastTests
{
    public static TheoryData<string> Kernels => ScaledCastTests.Kernels;

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Each_group_is_cast_as_if_its_rows_were_alone(string name)
    {
        var targets = ScaledCastCases.Targets.ToArray();
        Gen.Select(Gen.Int[0, 90], Gen.Int[1, 140], Gen.Int[1, 6], Gen.Bool, Gen.Bool, Gen.Int[0, 10000]).Sample((rows, columns, groups, wide, transposed, seed) =>
        {
            using var scope = NewDisposeScope();
            var x = Samples.Matrix(rows, columns, wide ? ScalarType.Float32 : ScalarType.BFloat16, seed, special: seed % 2 == 0);
            if (transposed && rows > 0) x = x.t();
            GroupCastCases.Check(CastTests.Named(name), x, GroupCastCases.Ends(x.shape[0], groups, seed), targets[seed % 4], "random");
        }, iter: 40, threads: 1);
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Elements_times_their_inverse_scales_are_the_values_rounded_once(string name)
    {
        using var scope = NewDisposeScope();
        var kernels = CastTests.Named(name);
        foreach (var target in ScaledCastCases.Targets)
            foreach (var type in new[] { ScalarType.BFloat16, ScalarType.Float32 })
            {
                var x = Samples.Matrix(70, 50, ScalarType.BFloat16, 3, special: true);
                foreach (var cast in new[] { kernels.CastRows(x, target), kernels.CastColumns(x, target, OperandLayout.Rows) })
                    Samples.AssertSameFloats(
                        cast.Data!.to(ScalarType.Float32).mul(cast.Inverse).to(type).to(ScalarType.Float32), kernels.DecodeScaled(cast.Data!, cast.Inverse, type).to(ScalarType.Float32), $"{target} {type}");
            }
    }
}
