using System.Globalization;
using Titan.Abstractions;
using Titan.Quantization.Roofline;
using Titan.Training.Models;

namespace Titan.Host.Planning;

/// <summary>What <c>titan estimate</c> was asked, checked.</summary>
/// <param name="Gpu">The GPU.</param>
/// <param name="Fused">Fused casts or not; null: what the job says.</param>
/// <param name="Tokens">M; null: what the job says.</param>
public sealed record EstimateRequest(GpuSpec Gpu, bool? Fused, long? Tokens)
{
    /// <summary>Checks the options of the command.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>.</exception>
    public static EstimateRequest Of(string gpu, bool fused, bool notFused, string? tokens)
    {
        if (fused && notFused) throw new TitanException(ExitCode.Usage, "--fused and --no-fused exclude each other; give one, or none for what compile.enable says");
        return new EstimateRequest(FindGpu(gpu), fused ? true : notFused ? false : null, tokens is null ? null : Size(tokens, "--m", tokens));
    }

    /// <summary>The shapes of <c>--shapes</c>: M x K x N, comma separated.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>, naming the shape.</exception>
    public static IReadOnlyList<(long Tokens, LinearShape Shape)> Shapes(string text) => [.. text.Split(',').Select(one =>
    {
        var parts = one.Trim().Split('x', 'X');
        if (parts.Length != 3) throw new TitanException(ExitCode.Usage, $"--shapes: '{one.Trim()}': expected MxKxN (tokens, input features, output features), for example 8192x4096x14336");
        return (Size(parts[0], "--shapes", one), new LinearShape(Size(parts[1], "--shapes", one), Size(parts[2], "--shapes", one)));
    })];

    internal static GpuSpec FindGpu(string name)
    {
        var names = GpuSpecs.All.Select(g => g.Name).ToList();
        return GpuSpecs.Find(name) ?? throw new TitanException(ExitCode.Usage,
            $"--gpu '{name}': no such GPU is known; known: {string.Join(", ", names)}; '--gpu list' shows their numbers{Nearest.Hint(name, names)}");
    }

    private static long Size(string number, string option, string whole) =>
        long.TryParse(number.Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var size) && size is > 0 and <= 1 << 24
            ? size
            : throw new TitanException(ExitCode.Usage, $"{option}: '{whole.Trim()}': '{number.Trim()}' is not a size; expected a whole number from 1 to {1 << 24}");
}
