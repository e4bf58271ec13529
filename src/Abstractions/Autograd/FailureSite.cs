namespace Titan.Abstractions;

/// <summary>Whose forward runs on a thread. A node of autograd remembers it, so that what fails in backward bears the same name.</summary>
internal abstract class FailureSite
{
    [ThreadStatic]
    private static FailureSite? current;

    /// <summary>The innermost one that runs on this thread; null for none.</summary>
    public static FailureSite? Current
    {
        get => current;
        set => current = value;
    }

    /// <summary>Leaves its name on an exception that passes, and never catches it.</summary>
    public abstract bool Note(Exception exception);
}
