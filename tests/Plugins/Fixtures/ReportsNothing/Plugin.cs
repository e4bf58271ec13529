/// <summary>Changes nothing, and its report is empty.</summary>
[ExportConverter("acme.reports_nothing")]
public sealed class Plugin() : EveryLinear("acme.reports_nothing")
{
    public override ConversionReport Convert(ModelSlots model, object options, ConversionContext context) =>
        new("acme.reports_nothing", "nothing", ExportStatus.Prototype, [], []);
}
