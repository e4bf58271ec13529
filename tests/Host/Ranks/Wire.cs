using System.Globalization;
using System.Text.RegularExpressions;

namespace Titan.Host.Tests.Ranks;

/// <summary>Flags that decide in which form weights travel, and what the log says about it.</summary>
internal static partial class Wire
{
    public const string AsComputed = "calls and bytes are as computed beforehand";

    /// <summary>The flags of a recipe, or of a dtype for weights that no recipe casts.</summary>
    public static string[] Recipe(string name) => name switch
    {
        "bf16" => [],
        "fp32" => ["--training.mixed_precision_param", "float32"],
        "mx" => ["--model.converters=quantize.linear.mx"],
        _ => ["--model.converters=quantize.linear.float8", "--quantize.linear.float8.filter_fqns=output", $"--quantize.linear.float8.recipe_name={name}"],
    };

    /// <summary>The flags with which converted weights travel in float8.</summary>
    public static string[] Float8Gathers(string recipe) => recipe switch
    {
        "bf16" or "fp32" => [],
        "mx" => ["--quantize.linear.mx.enable_fsdp_float8_all_gather"],
        "tensorwise" => ["--quantize.linear.float8.enable_fsdp_float8_all_gather", "--quantize.linear.float8.precompute_float8_dynamic_scale_for_fsdp"],
        _ => ["--quantize.linear.float8.enable_fsdp_float8_all_gather"],
    };

    /// <summary>What one rank counted in a step: collective of a group to calls and bytes.</summary>
    public static IReadOnlyDictionary<string, (long Calls, long Bytes)> Counted(string output) =>
        Line().Matches(output).ToDictionary(m => $"{m.Groups[1].Value} {m.Groups[2].Value}", m => (Number(m.Groups[3].Value), Number(m.Groups[4].Value)));

    private static long Number(string text) => long.Parse(text, NumberStyles.AllowThousands, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^  (\w+) +(\w+) +([\d,]+) calls +([\d,]+) bytes", RegexOptions.Multiline)]
    private static partial Regex Line();
}
