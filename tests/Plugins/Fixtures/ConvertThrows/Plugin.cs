/// <summary>Fails at its third layer.</summary>
[ExportConverter("acme.convert_throws")]
public sealed class Plugin() : EveryLinear("acme.convert_throws")
{
    public override ConversionReport Convert(ModelSlots model, object options, ConversionContext context)
    {
        foreach (var (_, slot, _) in model.Linears.Take(2)) slot.Replace(slot.Module, "acme.convert_throws");
        throw new InvalidOperationException("thrown by Convert");
    }
}
