using Titan.Abstractions;
using Titan.Kernels.Casts;
using Titan.Kernels.Tests.Casts;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Cuda;

/// <summary>The CUDA casts of experts, run by the emulation, against the ATen chain: elements, scales and inverses to the bit.</summary>
[Collection(NativeCollection.Name)]
public sealed class GroupCastKernelTests(NativeBuild build)
{
    private static readonly ScalarType[] Types = [ScalarType.BFloat16, ScalarType.Float32];

    /// <summary>Below, at and beyond the edges of packs and tiles.</summary>
    private static readonly (long Rows, long Columns, int Groups)[] Shapes = [(1, 1, 1), (37, 1, 3), (7, 5, 2), (64, 64, 4), (130, 136, 5), (3, 1032, 2), (260, 40, 9), (16, 1000, 1)];

    public static TheoryData<string> Launchers => NativeCollection.Launchers;

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void Each_group_is_cast_as_if_its_rows_were_alone(string launcher)
    {
        var targets = ScaledCastCases.Targets.ToArray();
        var seed = 0;
        foreach (var (rows, columns, groups) in Shapes)
            foreach (var type in Types)
            {
                using var scope = NewDisposeScope();
                var x = Samples.Matrix(rows, columns, type, ++seed, special: launcher == "forward" && seed % 3 == 0);
                GroupCastCases.Check(Kernels(launcher), x, GroupCastCases.Ends(rows, groups, seed), targets[seed % 4], $"{type}");
            }
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void Groups_of_16_rows_empty_groups_and_rows_of_none_that_hold_NaN_are_cast(string launcher)
    {
        using var scope = NewDisposeScope();
        var x = Samples.Matrix(208, 144, ScalarType.BFloat16, 5);
        x.narrow(0, 176, 32).fill_(float.NaN);
        foreach (var ends in new[] { new long[] { 16, 16, 144, 176 }, [0, 0, 176], [176, 176], [128, 144] })
        {
            var own = ends[^1] == 176 ? x : x.clone().narrow(0, 0, 160);
            GroupCastCases.Check(Kernels(launcher), own, ends, new CastTarget(Float8Format.E4M3, ScaleRounding.PowerOfTwo), "special");
        }
    }

    [TheoryWithTools("g++")]
    [MemberData(nameof(Launchers))]
    public void Rows_of_no_group_become_zero_and_no_other_is_touched(string launcher)
    {
        foreach (var type in Types)
            foreach (var end in new long[] { 0, 1, 33, 40 })
            {
                using var scope = NewDisposeScope();
                var x = Samples.Matrix(40, 37, type, 2);
                var expected = x.clone();
                expected.narrow(0, end, 40 - end).zero_();
                Kernels(launcher).ClearRows(x, RowGroups.Of([0, end], CPU));
                Samples.AssertSameFloats(expected.to(ScalarType.Float32), x.to(ScalarType.Float32), $"{type} from {end}");
            }
    }

    private ICastKernels Kernels(string launcher) => new CudaCastKernels(() => new CudaCasts(build.Launcher(launcher)));
}
