namespace Titan.Training.Configuration;

/// <summary>A key that upstream has and this version accepts only at its default; any other value is an error, never ignored.</summary>
/// <param name="why">What to use instead, or why not.</param>
[AttributeUsage(AttributeTargets.Property)]
public sealed class NotServedYetAttribute(string why) : Attribute
{
    /// <summary>What to use instead, or why not.</summary>
    public string Why => why;
}

/// <summary>The values that a key may take.</summary>
/// <param name="values">The values.</param>
[AttributeUsage(AttributeTargets.Property)]
public sealed class OneOfAttribute(params string[] values) : Attribute
{
    /// <summary>The values.</summary>
    public IReadOnlyList<string> Values => values;
}

/// <summary>The least value that a number may take.</summary>
/// <param name="value">The least value.</param>
[AttributeUsage(AttributeTargets.Property)]
public sealed class AtLeastAttribute(double value) : Attribute
{
    /// <summary>The least value.</summary>
    public double Value => value;
}
