/// <summary>Says that it converted every layer, and leaves them as they are.</summary>
[ExportConverter("acme.converts_nothing")]
public sealed class Plugin() : EveryLinear("acme.converts_nothing")
{
    public override IModelConversion Convert(ModelSlots model, object options, ConversionContext context) =>
        new ConversionReport("acme.converts_nothing", "nothing", ExportStatus.Prototype,
            [.. model.Linears.Select(l => new LayerConversion(l.Fqn, l.Linear.Shape, "acme", null, "fixture"))], []);
}
