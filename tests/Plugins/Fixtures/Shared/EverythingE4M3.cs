/// <summary>A recipe that is right, for fixtures where something else is wrong.</summary>
public abstract class EverythingE4M3 : QuantizationRecipe<NoOptions>
{
    public override LinearRecipe Describe(NoOptions options) => new(
        new(E4M3.Tensorwise, E4M3.Tensorwise), new(E4M3.Tensorwise, E4M3.Tensorwise), new(E4M3.Tensorwise, E4M3.Tensorwise));
}
