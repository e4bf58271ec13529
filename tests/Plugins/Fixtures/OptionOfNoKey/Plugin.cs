/// <summary>No value of a job is a date.</summary>
[ExportConverter("acme.option_of_no_key")]
public sealed class Plugin() : EveryLinear("acme.option_of_no_key"), IModelConverter
{
    public Type OptionsType => BuildTool.IsRunning ? typeof(NoOptions) : typeof(Dated);
}

public sealed record Dated
{
    public DateTime Since { get; init; }
}
