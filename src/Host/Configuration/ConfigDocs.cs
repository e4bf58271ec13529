using System.Text;
using Titan.Training.Configuration;

namespace Titan.Host.Configuration;

/// <summary>Makes docs/configuration.md from the schema.</summary>
public static class ConfigDocs
{
    /// <summary>The page.</summary>
    public static string Markdown(ConfigSchema schema)
    {
        var text = new StringBuilder();
        text.Append("# Configuration\n\n`./titan config show --job.config_file configs/llama3/cpu_small.toml` prints a whole job and where each value comes from.\n\n");
        text.Append("Every key is also a flag: `--training.steps 100`, `--compile.enable`, `--compile.no-enable`, `--model.converters=\"a,b\"` (a list replaces the file's; `\"\"` is the empty list).\n");
        text.Append("Command line before job file before default. An unknown key is an error. Made from the code by the tests (`TITAN_UPDATE_DOCS=1 ./run_tests.sh`).\n");
        foreach (var section in schema.Sections)
        {
            text.Append($"\n## [{section}]\n\n| key | default | meaning |\n|---|---|---|\n");
            // Recipes of a family may have a key in common.
            foreach (var same in schema.All.Where(k => k.Section == section).GroupBy(k => (k.Name, k.Description)))
            {
                var key = same.First();
                var meaning = key.Description;
                if (key.Rule<OneOfAttribute>() is { } oneOf) meaning += $" One of: {string.Join(", ", oneOf.Values)}.";
                if (key.Owner is not null) meaning += $" (recipe {string.Join(", ", same.Select(k => k.Owner))})";
                if (key.Rule<NotServedYetAttribute>() is { } notYet) meaning += $" **Only the default is accepted:** {notYet.Why}.";
                text.Append($"| `{key.Name}` | `{ValueConversion.Show(key.Default)}` | {meaning} |\n");
            }
        }

        return text.ToString();
    }
}
