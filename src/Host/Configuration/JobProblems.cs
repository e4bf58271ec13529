using Titan.Abstractions;

namespace Titan.Host.Configuration;

/// <summary>What is wrong with a job. Gathered, so that all of it is told at once; a key that is wrong already is not judged by further rules.</summary>
public sealed class JobProblems
{
    private readonly List<(string Text, ExitCode Code)> found = [];
    private readonly HashSet<string> broken = new(StringComparer.Ordinal);

    /// <summary>The problems, a line each: place, key, value, what was expected.</summary>
    public IReadOnlyList<string> Texts => [.. found.Select(f => f.Text)];

    /// <summary>Whether a key has a problem.</summary>
    public bool Has(string key) => broken.Contains(key);

    /// <summary>Adds a problem that no known key has.</summary>
    public void Add(string text) => found.Add((text, ExitCode.Usage));

    /// <summary>Adds the problem of a key.</summary>
    /// <param name="key">Its full name.</param>
    /// <param name="place">Where its value was given.</param>
    /// <param name="value">The value in a job's notation.</param>
    /// <param name="rule">What was expected, and the way out.</param>
    public void Add(string key, string place, string value, string rule)
    {
        broken.Add(key);
        Add($"{place}: {key} = {value}: {rule}");
    }

    /// <summary>Runs a check that throws, and adds what it throws.</summary>
    public void Collect(Action check)
    {
        try
        {
            check();
        }
        catch (TitanException e)
        {
            found.Add((e.Message, e.Code));
        }
    }

    /// <summary>Throws when there is a problem.</summary>
    /// <exception cref="TitanException">All problems, a line each; with the code that they share, else <see cref="ExitCode.Usage"/>.</exception>
    public void ThrowIfAny()
    {
        if (found.Count == 0) return;
        var codes = found.Select(f => f.Code).Distinct().ToList();
        throw new TitanException(codes is [var one] ? one : ExitCode.Usage, string.Join(Environment.NewLine, Texts));
    }
}
