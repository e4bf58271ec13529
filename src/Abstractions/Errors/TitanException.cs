namespace Titan.Abstractions;

/// <summary>
/// An error that a user can act on. Its message names the thing, the value, what was expected and the way out, in one line;
/// it is printed without a stack trace unless <c>--verbose</c> is given.
/// </summary>
public sealed class TitanException : Exception
{
    /// <summary>Creates the error.</summary>
    /// <param name="code">The process exit code that the error leads to.</param>
    /// <param name="message">One line: the thing, the value, what was expected, the way out.</param>
    /// <param name="inner">The cause, shown with <c>--verbose</c>.</param>
    public TitanException(ExitCode code, string message, Exception? inner = null) : base(message, inner) => Code = code;

    /// <summary>The process exit code that this error leads to.</summary>
    public ExitCode Code { get; }
}
