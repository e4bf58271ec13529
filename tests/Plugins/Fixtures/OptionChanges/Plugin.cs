/// <summary>Its options at run time are others than its manifest says.</summary>
public sealed record Then
{
    public int Amount { get; init; } = 1;
}

public sealed record Now
{
    public int Amount { get; init; } = 2;
}

[ExportConverter("acme.option_changes")]
public sealed class Plugin() : EveryLinear("acme.option_changes"), IModelConverter
{
    public Type OptionsType => BuildTool.IsRunning ? typeof(Then) : typeof(Now);
}
