using System.Text;
using Titan.Abstractions;
using Titan.Training.Files;
using Tomlyn.Parsing;
using Tomlyn.Syntax;

namespace Titan.Host.Configuration;

/// <summary>Reads a job file into entries that know their line.</summary>
public static class TomlSource
{
    private const int LargestFile = 1 << 20;

    private sealed record OtherValue(string Text)
    {
        public override string ToString() => Text;
    }

    /// <summary>Reads the file.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>: file, line and column of the first syntax error, or why the file cannot be read.</exception>
    public static IReadOnlyList<ConfigEntry> Read(string path)
    {
        string text;
        try
        {
            if (Directory.Exists(path)) throw new TitanException(ExitCode.Usage, $"job file '{path}' is a folder; name a .toml file in it");
            if (!File.Exists(path)) throw new TitanException(ExitCode.Usage, $"job file '{path}' does not exist; configs/llama3 holds some to start from");
            text = Encoding.UTF8.GetString(RegularFile.ReadAllBytes(path, LargestFile)).TrimStart('\ufeff');
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TitanException(ExitCode.Usage, $"job file '{path}' cannot be read: {e.Message}", e);
        }

        return Parse(text, path);
    }

    /// <summary>Parses TOML text.</summary>
    public static IReadOnlyList<ConfigEntry> Parse(string text, string path)
    {
        var document = Syntax(text, path);
        if (document.HasErrors)
        {
            var first = document.Diagnostics[0];
            throw new TitanException(ExitCode.Usage, $"{path}:{first.Span.Start.Line + 1}:{first.Span.Start.Column + 1}: not valid TOML: {first.Message}");
        }

        var entries = new List<ConfigEntry>();
        var seen = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var pair in document.KeyValues) Add("", pair);
        foreach (var table in document.Tables)
        {
            if (table is TableArraySyntax)
                throw new TitanException(ExitCode.Usage, $"{path}:{Line(table)}: [[{Name(table.Name!)}]]: a job has no lists of sections; write [{Name(table.Name!)}]");
            foreach (var pair in table.Items) Add(Name(table.Name!) + ".", pair);
        }

        return entries;

        void Add(string prefix, KeyValueSyntax pair)
        {
            var name = prefix + Name(pair.Key!);
            if (pair.Value is InlineTableSyntax inline)
            {
                foreach (var item in inline.Items) Add(name + ".", item.KeyValue!);
                return;
            }

            var line = Line(pair);
            if (!seen.TryAdd(name, line)) throw new TitanException(ExitCode.Usage, $"{path}:{line}: {name} is set twice, first in line {seen[name]}");
            entries.Add(new ConfigEntry(name, Value(pair.Value!), $"{path}:{line}"));
        }
    }

    private static DocumentSyntax Syntax(string text, string path)
    {
        try
        {
            return SyntaxParser.Parse(text, path, true);
        }
        catch (Exception e) when (e is not (OutOfMemoryException or TitanException))
        {
            // The parser throws for what it has no diagnostic for, such as values nested deeper than it follows them.
            throw new TitanException(ExitCode.Usage, $"{path}: not a job file: {e.Message.ReplaceLineEndings(" ")}", e);
        }
    }

    private static object Value(ValueSyntax value) => value switch
    {
        StringValueSyntax s => s.Value ?? "",
        IntegerValueSyntax i => i.Value,
        FloatValueSyntax f => f.Value,
        BooleanValueSyntax b => b.Value,
        ArraySyntax a => a.Items.Select(i => Value(i.Value!)).ToList(),
        // A date, a table within a list: no key is of such a type, and the key's own message says what it is of.
        _ => new OtherValue(value.ToString().Trim()),
    };

    private static string Name(KeySyntax key) => string.Join('.', new[] { key.Key! }.Concat(key.DotKeys.Select(k => k.Key!)).Select(Part));

    private static string Part(BareKeyOrStringValueSyntax key) =>
        ((key as BareKeySyntax)?.Key!.Text ?? (key as StringValueSyntax)?.Value ?? "").Replace('-', '_');

    private static int Line(SyntaxNode node) => node.Span.Start.Line + 1;
}
