using System.Text;

namespace Titan.Host.Configuration;

/// <summary>Property names to key names.</summary>
public static class KeyNames
{
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
}
