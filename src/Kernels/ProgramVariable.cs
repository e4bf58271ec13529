using System.Globalization;
using Titan.Abstractions;

namespace Titan.Kernels;

/// <summary>An environment variable of this project.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Reader">What reads it: the program, or a script.</param>
/// <param name="Meaning">One line.</param>
public sealed record ProgramVariable(string Name, string Reader, string Meaning)
{
    /// <summary>What happens where it is not set.</summary>
    public string Default { get; init; } = "";

    /// <summary>The values that it may have; null for any.</summary>
    public IReadOnlyList<string>? Allowed { get; init; }

    /// <summary>What is wrong with a value, as the end of a message; null where nothing is.</summary>
    public Func<string, string?>? Rule { get; init; }

    /// <summary>Its value; null where it is not set, or empty.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> for a value that it cannot have.</exception>
    public string? Value
    {
        get
        {
            if (Environment.GetEnvironmentVariable(Name) is not { Length: > 0 } value) return null;
            return Problem(value) is { } problem ? throw new TitanException(ExitCode.Usage, $"{Name} = '{value}': {problem}, or unset it") : value;
        }
    }

    /// <summary>What is wrong with a value; null where nothing is.</summary>
    public string? Problem(string value) => Allowed is not null ? Allowed.Contains(value) ? null : $"expected {string.Join(" or ", Allowed)}" : Rule?.Invoke(value);

    /// <summary>A rule: whole seconds from 1 on.</summary>
    internal static string? Seconds(string value) =>
        int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) && seconds is > 0 and < 1_000_000_000 ? null : "expected whole seconds, 1 or more, without a unit";

    /// <summary>A rule: a folder that exists.</summary>
    internal static string? Folder(string value) => Directory.Exists(value) ? null : "there is no such folder; expected one that exists";
}
