/// <summary>Fails with an exception that cannot even be described.</summary>
[ExportRecipe("acme_message_throws", "one", IsDefault = true)]
public sealed class Plugin : EverythingE4M3
{
    public Plugin() => throw new Silent();

    private sealed class Silent : Exception
    {
        public override string Message => throw new InvalidOperationException("thrown by Message");

        public override System.Collections.IDictionary Data => throw new InvalidOperationException("thrown by Data");

        public override string ToString() => throw new InvalidOperationException("thrown by ToString");
    }
}
