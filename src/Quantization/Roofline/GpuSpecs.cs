namespace Titan.Quantization.Roofline;

/// <summary>The GPUs that an estimate can be made for.</summary>
/// <remarks>Source: torchao's <c>roofline_utils.py</c>, which names the vendors' data sheets. H200 and the stock H100 are not in it: they are H100's compute with their own memory.</remarks>
public static class GpuSpecs
{
    private const string Copied = "efficiencies copied from H100, not measured";

    /// <summary>The GPU that torchao's thresholds and tables were measured on.</summary>
    public static GpuSpec Default { get; } = new("H100", 989e12, 1979e12, 2.4e12, .78, .92, "Meta's variant with HBM2e, which torchao measured; the stock card is H100-SXM");

    /// <summary>All of them.</summary>
    public static IReadOnlyList<GpuSpec> All { get; } =
    [
        Default,
        Default with { Name = "H100-SXM", Bandwidth = 3.35e12, Note = "data sheet; " + Copied },
        Default with { Name = "H200", Bandwidth = 4.8e12, Note = "data sheet; " + Copied },
        new("B200", 2.25e15, 4.5e15, 960 * 3.996e9 * 2, .78, .92, "data sheet; " + Copied),
        new("B300", 2.25e15, 4.5e15, 8e12, .82, .84, "data sheet; efficiencies are torchao's"),
        new("GB200", 2.25e15, 4.5e15, 8e12, .78, .92, "data sheet; " + Copied),
        new("MI300X", 1307e12, 2614e12, 5.3e12, .78, .92, "data sheet; " + Copied),
        // torchao's 1.792e15 bytes/s is a slip of the exponent.
        new("RTX5090", 209.5e12, 419e12, 1.792e12, .78, .92, "data sheet; " + Copied),
    ];

    /// <summary>The GPU of that name, or null. Case, spaces, dashes and vendor names are ignored: <c>NVIDIA GeForce RTX 5090</c> is <c>rtx5090</c>.</summary>
    public static GpuSpec? Find(string name) => All.FirstOrDefault(g => Plain(g.Name) == Plain(name));

    private static string Plain(string name)
    {
        var plain = name.ToLowerInvariant();
        foreach (var ignored in new[] { "nvidia", "geforce", "amd", "instinct", " ", "-", "_" }) plain = plain.Replace(ignored, "", StringComparison.Ordinal);
        return plain;
    }
}
