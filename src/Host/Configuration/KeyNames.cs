using System.Text;
using System.Text.RegularExpressions;

namespace Titan.Host.Configuration;

/// <summary>Property names to key names.</summary>
public static partial class KeyNames
{
    /// <summary>Whether the text can be the name of a key, or one part of a section's: it ends where it ends, with no newline after it.</summary>
    public static bool IsPart(string text) => Part().IsMatch(text);

    /// <summary><c>EnableFsdpFloat8AllGather</c> to <c>enable_fsdp_float8_all_gather</c>: digits stay with the word before them.</summary>
    public static string ToSnakeCase(string name)
    {
        var text = new StringBuilder();
        for (var i = 0; i < name.Length; i++)
        {
            if (i > 0 && char.IsUpper(name[i])) text.Append('_');
            text.Append(char.ToLowerInvariant(name[i]));
        }

        return text.ToString();
    }

    [GeneratedRegex(@"\A[a-z][a-z0-9_]{0,99}\z")]
    private static partial Regex Part();
}
