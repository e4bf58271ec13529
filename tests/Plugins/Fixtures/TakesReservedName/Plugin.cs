[ExportConverter("quantize.linear.float8")]
public sealed class Plugin() : EveryLinear("quantize.linear.float8");
