[ExportRecipe("acme_needs_newer_gpu", "one", IsDefault = true)]
public sealed class Plugin : EverythingE4M3
{
    public override DeviceRequirement Requires => DeviceRequirement.Cuda(10, 0).OrEmulated();
}
