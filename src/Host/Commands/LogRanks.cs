using System.Globalization;
using Titan.Abstractions;

namespace Titan.Host.Commands;

/// <summary>Which ranks write their log: <c>LOG_RANK</c>, a rank, ranks separated by commas, or <c>all</c>; rank 0 where it is not set.</summary>
/// <param name="IsShown">Whether this rank writes.</param>
/// <param name="Prefix">What its lines begin with.</param>
internal sealed record LogRanks(bool IsShown, string Prefix)
{
    /// <summary>Reads the variable.</summary>
    /// <param name="value">Its value; null where it is not set.</param>
    /// <param name="rank">This rank.</param>
    /// <param name="world">Number of ranks.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> when it is none of the forms, or names no rank of the job.</exception>
    public static LogRanks Of(string? value, int rank, int world)
    {
        if (string.IsNullOrWhiteSpace(value)) value = "0";
        if (value == "all") return new(true, world > 1 ? $"[rank {rank}] " : "");
        var shown = value.Split(',').Select(one => int.TryParse(one.Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var r)
            ? r
            : throw new TitanException(ExitCode.Usage, $"LOG_RANK = '{value}': '{one}' is no rank; expected a rank (0), ranks separated by commas (0,3), or all")).ToHashSet();
        // A single process is often run with another job's environment.
        if (world > 1 && shown.All(r => r >= world)) throw new TitanException(ExitCode.Usage, $"LOG_RANK = '{value}': the job has ranks 0 to {world - 1}, so nothing would be shown");
        return new(world == 1 || shown.Contains(rank), shown.Count(r => r < world) > 1 && world > 1 ? $"[rank {rank}] " : "");
    }
}
