namespace Titan.Host.Tests;

/// <summary>Flags of a job in a test.</summary>
internal static class JobFlags
{
    /// <summary>The flags with others in the place of those of the same name: the program takes no flag with two values.</summary>
    public static string[] With(IEnumerable<string> flags, params string[] others)
    {
        var replaced = others.Where(IsFlag).Select(Name).ToHashSet();
        var kept = new List<string>();
        var keeps = true;
        foreach (var part in flags)
        {
            if (IsFlag(part)) keeps = !replaced.Contains(Name(part));
            if (keeps) kept.Add(part);
        }

        return [.. kept, .. others];
    }

    private static bool IsFlag(string part) => part.StartsWith("--", StringComparison.Ordinal);

    private static string Name(string flag) => flag.Split('=')[0].Replace('-', '_');
}
