using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using Titan.Abstractions;
using Titan.Quantization.Measurement;

namespace Titan.Benchmarks;

/// <summary>A recorded benchmark, <c>model_hardware_date.md</c> with a CSV file beside it for each table.</summary>
public sealed class BenchmarkFile
{
    private readonly string folder, name;
    private readonly Hardware hardware;

    private BenchmarkFile(string folder, string name, Hardware hardware) => (this.folder, this.name, this.hardware) = (folder, name, hardware);

    /// <summary>The markdown file.</summary>
    public string Path => System.IO.Path.Combine(folder, name + ".md");

    /// <summary>Reserves a name before anything is measured, so that a folder that cannot be written costs no time. An earlier page of that name stays until there is another to replace it.</summary>
    /// <param name="folder">The folder; created when missing.</param>
    /// <param name="model">What is measured, for the name.</param>
    /// <param name="hardware">The machine.</param>
    /// <param name="clock">For the date.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/>.</exception>
    public static BenchmarkFile Create(string folder, string model, Hardware hardware, TimeProvider clock)
    {
        var name = $"{model}_{hardware.ShortName}_{clock.GetLocalNow():yyyy-MM-dd}";
        try
        {
            Directory.CreateDirectory(folder);
            var file = new BenchmarkFile(folder, name, hardware);
            using (File.Open(file.Path, FileMode.OpenOrCreate, FileAccess.Write)) return file;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TitanException(ExitCode.Data, $"--out '{folder}' cannot be written: {e.Message}; name another folder");
        }
    }

    /// <summary>The path of a file that belongs to this one.</summary>
    public string Beside(string suffix) => System.IO.Path.Combine(folder, name + suffix);

    /// <summary>Takes the name back when nothing came of it.</summary>
    public void Abandon()
    {
        if (File.Exists(Path) && new FileInfo(Path).Length == 0) File.Delete(Path);
    }

    /// <summary>Writes everything; returns the paths.</summary>
    public IReadOnlyList<string> Write(string title, string measured, IReadOnlyList<string> plugins, IReadOnlyList<BenchmarkTable> tables, IReadOnlyList<string> notes)
    {
        var text = new StringBuilder();
        text.AppendLine($"# {title}").AppendLine().AppendLine("```bash").AppendLine(CommandLine).AppendLine("```").AppendLine();
        text.AppendLine($"- hardware: {hardware}");
        text.AppendLine($"- versions: titan {Version(typeof(BenchmarkFile))}, TorchSharp {Version(typeof(TorchSharp.torch))}, {RuntimeInformation.FrameworkDescription}" +
            string.Concat(plugins.Select(p => $", {p}")));
        text.AppendLine($"- measured: {measured}");
        // What an earlier page had beside it would be taken for this one's.
        foreach (var earlier in Directory.EnumerateFiles(folder, name + "*.csv")) File.Delete(earlier);
        List<string> paths = [Path];
        foreach (var table in tables)
        {
            text.AppendLine();
            if (tables.Count > 1) text.AppendLine($"## {table.Title}").AppendLine();
            text.Append(table.ToMarkdown());
            paths.Add(Beside(tables.Count > 1 ? $"_{Hardware.Slug(table.Title)}.csv" : ".csv"));
            File.WriteAllText(paths[^1], table.ToCsv());
        }

        if (notes.Count > 0) text.AppendLine();
        foreach (var note in notes) text.AppendLine($"- {note}");
        File.WriteAllText(Path, text.ToString());
        return paths;
    }

    private static string CommandLine => string.Join(' ', Environment.GetCommandLineArgs().Skip(1).Select(a => a.All(c => char.IsAsciiLetterOrDigit(c) || "-_./=,:+".Contains(c)) && a.Length > 0 ? a : $"'{a}'").Prepend("./titan"));

    private static string Version(Type type) =>
        (type.Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? type.Assembly.GetName().Version?.ToString() ?? "?").Split('+')[0];
}
