namespace Titan.Training.Data;

/// <summary>
/// A token of the stream in one number: its id, plus a bit where a document begins that the tokens themselves do not tell, and the complement of both where it counts for nothing as a label.
/// A token of plain text is its id.
/// </summary>
public static class StreamToken
{
    private const int Begin = 1 << 30;

    /// <summary>The number of a token.</summary>
    /// <param name="id">Its id, below 2^30.</param>
    /// <param name="counts">Whether it counts as a label.</param>
    /// <param name="begins">Whether a document begins with it.</param>
    public static int Of(int id, bool counts, bool begins)
    {
        var number = begins ? id | Begin : id;
        return counts ? number : ~number;
    }

    /// <summary>The id.</summary>
    public static int Id(int token) => (token < 0 ? ~token : token) & ~Begin;

    /// <summary>The id, or <see cref="Batch.Ignored"/> where it counts for nothing.</summary>
    public static long Label(int token) => token < 0 ? Batch.Ignored : Id(token);

    /// <summary>Whether a document begins with it.</summary>
    public static bool Begins(int token) => ((token < 0 ? ~token : token) & Begin) != 0;
}
