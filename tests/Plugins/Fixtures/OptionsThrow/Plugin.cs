/// <summary>The host asks for the options' type to build the configuration.</summary>
[ExportConverter("acme.options_throw")]
public sealed class Plugin() : EveryLinear("acme.options_throw"), IModelConverter
{
    public Type OptionsType => BuildTool.IsRunning ? typeof(NoOptions) : throw new InvalidOperationException("thrown by OptionsType");
}
