using Titan.Abstractions;

namespace Titan.Kernels.Tests.Casts;

/// <summary>The known blocks, by the ATen chain and by each width of SIMD, along rows and along columns.</summary>
public class MxCaseTests
{
    [Theory]
    [InlineData("plain"), InlineData("Portable"), InlineData("Vector256"), InlineData("Vector512")]
    public void Known_blocks_have_the_references_bytes_and_leave_the_block_beside_them_alone(string name)
    {
        var kernels = CastTests.Named(name);
        MxCases.Check((x, mode) => kernels.CastBlocks(x, 1, 32, Float8Format.E4M3, mode));
        MxCases.Check((x, mode) => MxCases.AlongColumns(kernels, x, mode));
    }
}
