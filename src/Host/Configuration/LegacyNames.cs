namespace Titan.Host.Configuration;

/// <summary>Old names that still work, with a warning.</summary>
internal static class LegacyNames
{
    private static readonly Dictionary<string, string> Converters = new() { ["float8"] = "quantize.linear.float8", ["mx"] = "quantize.linear.mx" };

    public static void Apply(Dictionary<string, object?> values, Dictionary<string, string> origins, List<string> warnings)
    {
        var converters = (IReadOnlyList<string>)values["model.converters"]!;
        foreach (var old in converters.Where(Converters.ContainsKey))
            warnings.Add($"model.converters: '{old}' is the old name of '{Converters[old]}'");
        values["model.converters"] = converters.Select(c => Converters.GetValueOrDefault(c, c)).ToArray();

        if (values["model.tokenizer_path"] is string path)
        {
            warnings.Add("model.tokenizer_path is the old name of model.hf_assets_path");
            values["model.hf_assets_path"] = path;
            origins["model.hf_assets_path"] = origins["model.tokenizer_path"];
        }
    }
}
