/// <summary>Changes nothing, and its report is empty.</summary>
[ExportConverter("acme.reports_nothing")]
public sealed class Plugin() : EveryLinear("acme.reports_nothing")
{
    public override IModelConversion Convert(ModelSlots model, object options, ConversionContext context) =>
        new ConversionReport("acme.reports_nothing", "nothing", ExportStatus.Prototype, [], []);
}
