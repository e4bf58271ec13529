using System.Reflection;
using Xunit.Sdk;

namespace Titan.Distributed.Tests;

/// <summary>A row of a theory that starts ranks, "Open MPI" or "MPICH" first: skipped, with the reason and the way out, where that launcher is missing; the other's rows run.</summary>
[AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
internal sealed class RanksAttribute : DataAttribute
{
    private readonly object[] row;

    public RanksAttribute(string launcher, params object[] more)
    {
        row = [launcher, .. more];
        Skip = Tools.Missing(RankLauncher.Named(launcher).Program);
    }

    public override IEnumerable<object[]> GetData(MethodInfo testMethod) => [row];
}
