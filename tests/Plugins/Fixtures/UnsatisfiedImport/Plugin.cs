using System.Composition;

[ExportConverter("acme.unsatisfied_import")]
[method: ImportingConstructor]
public sealed class Plugin(INowhere nowhere) : EveryLinear("acme.unsatisfied_import")
{
    protected override string Summary => nowhere.ToString()!;
}

public interface INowhere;
