namespace Titan.Host.Configuration;

/// <summary>A value as it was given, before it is converted to its key's type.</summary>
/// <param name="FullName">The key's full name, with underscores.</param>
/// <param name="Value">string, long, double, bool, a List of these, or any other object, which no key takes; from the command line always string or bool.</param>
/// <param name="Origin">Where it comes from: <c>file:line</c> or <c>command line</c>.</param>
/// <param name="IsText">Whether the value is text that must be parsed (command line).</param>
public sealed record ConfigEntry(string FullName, object Value, string Origin, bool IsText = false)
{
    /// <summary>The value as a key of this type has it; false where it is of another type.</summary>
    public bool TryRead(KeyType type, out object? value) => IsText && Value is string text ? type.TryFromText(text, out value) : type.TryFromToml(Value, out value);
}
