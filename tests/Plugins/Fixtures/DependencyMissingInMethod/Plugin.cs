/// <summary>Loads, since nothing needs the library before Convert does.</summary>
[ExportConverter("acme.dependency_missing_in_method")]
public sealed class Plugin() : EveryLinear("acme.dependency_missing_in_method")
{
    public override IModelConversion Convert(ModelSlots model, object options, ConversionContext context) =>
        new ConversionReport(Acme.Dependency.Forgotten.Text, "", ExportStatus.Stable, [], []);
}
