using Titan.Training.Tokenizers.Patterns;

namespace Titan.Training.Tokenizers.PreTokenizing;

/// <summary>What becomes of the stretches that a pattern matches, by the names that tokenizer files have for it.</summary>
internal enum SplitBehavior
{
    /// <summary>Matches are lost.</summary>
    Removed,

    /// <summary>Each match is a piece, and what lies between them too.</summary>
    Isolated,

    /// <summary>A match goes to the piece before it.</summary>
    MergedWithPrevious,

    /// <summary>A match goes to the piece after it.</summary>
    MergedWithNext,

    /// <summary>Matches in a row are one piece.</summary>
    Contiguous,
}

/// <summary>Turns stretches into pieces.</summary>
internal static class SplitBehaviors
{
    /// <summary>The pieces of a text, none of them empty, as (start, end).</summary>
    /// <param name="behavior">What becomes of matches.</param>
    /// <param name="stretches">Matches and what lies between them, all of the text.</param>
    public static IEnumerable<(int Start, int End)> Pieces(this SplitBehavior behavior, List<Stretch> stretches) => behavior switch
    {
        SplitBehavior.Removed => NotEmpty(stretches.Where(s => !s.Matches).Select(s => (s.Start, s.End))),
        SplitBehavior.Isolated => NotEmpty(stretches.Select(s => (s.Start, s.End))),
        SplitBehavior.Contiguous => NotEmpty(Joined(stretches, (previous, current) => previous == current)),
        SplitBehavior.MergedWithPrevious => NotEmpty(Joined(stretches, (previous, current) => current && !previous)),
        SplitBehavior.MergedWithNext => NotEmpty(Joined(Mirrored(stretches), (previous, current) => current && !previous)
            .Select(p => (-p.End, -p.Start)).Reverse()),
        _ => throw new ArgumentOutOfRangeException(nameof(behavior), behavior, null),
    };

    /// <summary>
    /// Joins a stretch with the one before where the rule, given whether each matches, says so. The first is joined with nothing; before it there is
    /// no match.
    /// </summary>
    private static List<(int Start, int End)> Joined(IEnumerable<Stretch> stretches, Func<bool, bool, bool> joins)
    {
        var pieces = new List<(int Start, int End)>();
        var previous = false;
        foreach (var stretch in stretches)
        {
            if (pieces.Count > 0 && joins(previous, stretch.Matches)) pieces[^1] = (pieces[^1].Start, stretch.End);
            else pieces.Add((stretch.Start, stretch.End));
            previous = stretch.Matches;
        }

        return pieces;
    }

    /// <summary>The text seen from its end.</summary>
    private static IEnumerable<Stretch> Mirrored(List<Stretch> stretches) =>
        Enumerable.Reverse(stretches).Select(s => new Stretch(-s.End, -s.Start, s.Matches));

    private static IEnumerable<(int Start, int End)> NotEmpty(IEnumerable<(int Start, int End)> pieces) => pieces.Where(p => p.End > p.Start);
}
