/// <summary>Says which Google.Protobuf it got: TorchSharp brings a newer one to the host.</summary>
[ExportConverter("acme.protobuf_older")]
public sealed class Plugin() : EveryLinear("acme.protobuf_older")
{
    protected override string Summary => typeof(Google.Protobuf.ByteString).Assembly.GetName().Version!.ToString();
}
