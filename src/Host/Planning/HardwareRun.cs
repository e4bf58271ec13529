using System.Globalization;

namespace Titan.Host.Planning;

/// <summary>What a GPU has run: a row of the table in docs/cuda.md, the one place that says so. The page travels inside the program.</summary>
/// <param name="What">What ran.</param>
/// <param name="Hardware">The GPU's model name as its driver gives it, then more of the machine after a comma.</param>
/// <param name="Software">PyTorch's or libtorch's version, and what else matters.</param>
/// <param name="Date">When.</param>
/// <param name="Result">How it went.</param>
public sealed record HardwareRun(string What, string Hardware, string Software, DateOnly Date, string Result)
{
    private const string Page = "cuda.md", Head = "| what | hardware | software | date | result |";

    /// <summary>All rows, in the page's order.</summary>
    public static IReadOnlyList<HardwareRun> All { get; } = Embedded();

    /// <summary>The GPU's model name.</summary>
    public string Gpu => Hardware.Split(',')[0];

    /// <summary>The rows of a page.</summary>
    /// <exception cref="FormatException">There is no such table, or a row lacks a cell or a date.</exception>
    public static IReadOnlyList<HardwareRun> Read(TextReader page)
    {
        var rows = new List<HardwareRun>();
        for (var line = page.ReadLine(); line != Head; line = page.ReadLine())
            if (line is null) throw new FormatException($"no table '{Head}'");
        // The rule under the head.
        page.ReadLine();
        while (page.ReadLine() is { } line && line.StartsWith('|'))
        {
            var cells = line.Trim('|').Split('|', StringSplitOptions.TrimEntries);
            if (cells.Length != 5 || cells.Any(c => c.Length == 0)) throw new FormatException($"'{line}': expected five cells, none of them empty");
            if (!DateOnly.TryParseExact(cells[3], "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out var date)) throw new FormatException($"'{line}': expected a date as 2026-11-26, not '{cells[3]}'");
            rows.Add(new HardwareRun(cells[0], cells[1], cells[2], date, cells[4]));
        }

        return rows.Count > 0 ? rows : throw new FormatException($"'{Head}': the table has no row");
    }

    private static IReadOnlyList<HardwareRun> Embedded()
    {
        using var page = new StreamReader(typeof(HardwareRun).Assembly.GetManifestResourceStream(Page)!);
        return Read(page);
    }
}
