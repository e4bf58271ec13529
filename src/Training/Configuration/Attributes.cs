namespace Titan.Training.Configuration;

/// <summary>A key that upstream has and this version accepts only at its default; any other value is an error, never ignored.</summary>
/// <param name="why">What to use instead, or why not.</param>
[AttributeUsage(AttributeTargets.Property)]
public sealed class NotServedYetAttribute(string why) : Attribute
{
    /// <summary>What to use instead, or why not.</summary>
    public string Why => why;
}

/// <summary>A key of upstream's whose values all mean the same here: any may be given, and another than the default is answered with a note.</summary>
/// <param name="why">Why it makes no difference.</param>
[AttributeUsage(AttributeTargets.Property)]
public sealed class NoEffectAttribute(string why) : Attribute
{
    /// <summary>Why it makes no difference.</summary>
    public string Why => why;
}
