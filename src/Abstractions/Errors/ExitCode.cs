namespace Titan.Abstractions;

/// <summary>What the process returns, so that a script can tell the kinds of failure apart.</summary>
public enum ExitCode
{
    /// <summary>Everything that was asked for was done.</summary>
    Ok = 0,

    /// <summary>The run failed: a non-finite loss, an error inside a step.</summary>
    RunFailed = 1,

    /// <summary>The command line or the job configuration is wrong.</summary>
    Usage = 2,

    /// <summary>A plugin is missing, broken or misbehaves.</summary>
    Plugin = 3,

    /// <summary>This machine cannot do what was asked for.</summary>
    Hardware = 4,

    /// <summary>Data, tokenizer or checkpoint is missing, unreadable or does not fit.</summary>
    Data = 5,
}
