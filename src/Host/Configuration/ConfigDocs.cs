using System.Text;
using Titan.Kernels;
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
        text.Append("Command line before job file before default. A list that is given again goes on; any other value may be repeated, but not changed.\n");
        text.Append("An unknown key is an error, and so is a value of another type or outside of its range; `./titan config check` tells all that is wrong with a job at once, each with its file and line.\n");
        text.Append("`plan` and `train` go by the same rules. A key that says **No effect** may have any value, and is answered with a note. This page is made from the code by the tests (`TITAN_UPDATE_DOCS=1 ./run_tests.sh`).\n");
        foreach (var section in schema.Sections)
        {
            text.Append($"\n## [{section}]\n\n| key | default | meaning |\n|---|---|---|\n");
            // Recipes of a family may have a key in common.
            foreach (var same in schema.All.Where(k => k.Section == section).GroupBy(k => (k.Name, k.Description)))
            {
                var key = same.First();
                var meaning = key.Description;
                if (key.Type.Names.Count > 0) meaning += $" One of: {string.Join(", ", key.Type.Names)}.";
                meaning += ValueRules.Describe(key);
                if (key.Rule<NoEffectAttribute>() is { } noEffect) meaning += $" **No effect:** {noEffect.Why}.";
                if (key.Owner is not null && schema.PluginSections.First(s => s.Name == section).OwnerKind is { } kind) meaning += $" ({kind} {string.Join(", ", same.Select(k => k.Owner))})";
                if (key.Rule<NotServedYetAttribute>() is { } notYet) meaning += $" **Only the default is accepted:** {notYet.Why}.";
                text.Append($"| `{key.Name}` | `{KeyType.Show(key.Default)}` | {meaning} |\n");
            }
        }

        text.Append("\n## Environment variables\n\nA variable with a value that it cannot have is an error (exit code 2).\n\n| variable | read by | default | meaning |\n|---|---|---|---|\n");
        foreach (var v in ProgramVariables.All) text.Append($"| `{v.Name}` | {v.Reader} | {v.Default} | {v.Meaning} |\n");
        return text.ToString();
    }
}
