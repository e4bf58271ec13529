using System.Reflection;
using NetArchTest.Rules;

namespace Titan.Architecture.Tests;

public sealed class ReferenceTests
{
    /// <summary>Which of our assemblies each may reference.</summary>
    [Theory]
    [InlineData("Titan.Abstractions")]
    [InlineData("Titan.Kernels", "Titan.Abstractions")]
    [InlineData("Titan.Quantization", "Titan.Abstractions", "Titan.Kernels")]
    [InlineData("Titan.Distributed", "Titan.Abstractions")]
    [InlineData("Titan.Models", "Titan.Abstractions")]
    [InlineData("Titan.Training", "Titan.Abstractions", "Titan.Kernels", "Titan.Quantization", "Titan.Distributed", "Titan.Models")]
    public void A_project_references_only_what_the_design_allows(string name, params string[] allowed)
    {
        var ours = Assembly.Load(name).GetReferencedAssemblies().Select(a => a.Name!).Where(a => a.StartsWith("Titan", StringComparison.OrdinalIgnoreCase));
        Assert.Empty(ours.Except(allowed));
    }

    [Fact]
    public void The_contract_does_no_input_or_output_and_calls_nothing_native_but_autograds_nodes()
    {
        string[] native = ["System.Runtime.InteropServices.NativeLibrary", "System.Runtime.InteropServices.LibraryImportAttribute", "System.Runtime.InteropServices.DllImportAttribute"];
        var result = Types.InAssembly(Assembly.Load("Titan.Abstractions")).That().DoNotHaveNameStartingWith("AutogradLibrary")
            .ShouldNot().HaveDependencyOnAny(["System.IO", "System.Net", .. native]).GetResult();
        Assert.True(result.IsSuccessful, string.Join(", ", result.FailingTypeNames ?? []));
    }
}
