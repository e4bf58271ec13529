/// <summary>Says which Newtonsoft.Json it got.</summary>
[ExportConverter("acme.newtonsoft_thirteen")]
public sealed class Plugin() : EveryLinear("acme.newtonsoft_thirteen")
{
    protected override string Summary => Newtonsoft.Json.JsonConvert.SerializeObject(typeof(Newtonsoft.Json.JsonConvert).Assembly.GetName().Version);
}
