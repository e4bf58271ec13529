namespace Titan.Tests.Kit;

/// <summary>A test that starts these programs: skipped, with the reason and the way out, where one of them is missing.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class FactWithToolsAttribute : FactAttribute
{
    public FactWithToolsAttribute(params string[] tools) => Skip = Tools.Missing(tools);
}

/// <summary>A theory all of whose rows start these programs: skipped, with the reason and the way out, where one of them is missing.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class TheoryWithToolsAttribute : TheoryAttribute
{
    public TheoryWithToolsAttribute(params string[] tools) => Skip = Tools.Missing(tools);
}
