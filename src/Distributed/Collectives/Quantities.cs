using System.Globalization;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Distributed.Collectives;

/// <summary>Numbers as messages show them.</summary>
internal static class Quantities
{
    public static string Bytes(long bytes) => bytes switch
    {
        < 1000 => $"{bytes} B",
        < 1_000_000 => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e3:0.#} kB"),
        < 1_000_000_000 => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e6:0.#} MB"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e9:0.#} GB"),
    };

    public static string Seconds(double seconds) => string.Create(CultureInfo.InvariantCulture, $"{seconds:0.#} s");

    /// <summary>"rank 3" or "ranks 1, 3".</summary>
    public static string Ranks(IReadOnlyCollection<int> ranks) => (ranks.Count == 1 ? "rank " : "ranks ") + string.Join(", ", ranks);

    public static string Shape(Tensor tensor) => $"[{string.Join(", ", tensor.shape)}] {Type(tensor.dtype)}";

    /// <summary>TorchSharp has no names for the 8-bit formats.</summary>
    public static string Type(ScalarType type) =>
        type == Float8Format.E4M3.Type ? "Float8E4M3" : type == Float8Format.E5M2.Type ? "Float8E5M2" : type == Float8Format.E8M0.Type ? "Float8E8M0" : type.ToString();
}
