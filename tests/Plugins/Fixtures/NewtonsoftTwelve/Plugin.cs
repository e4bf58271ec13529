/// <summary>Says which Newtonsoft.Json it got.</summary>
[ExportConverter("acme.newtonsoft_twelve")]
public sealed class Plugin() : EveryLinear("acme.newtonsoft_twelve")
{
    protected override string Summary => Newtonsoft.Json.JsonConvert.SerializeObject(typeof(Newtonsoft.Json.JsonConvert).Assembly.GetName().Version);
}
