using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using NetArchTest.Rules;
using Titan.Training.Data;

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
    [InlineData("Titan.Benchmarks", "Titan.Abstractions", "Titan.Kernels", "Titan.Quantization", "Titan.Distributed", "Titan.Models", "Titan.Training")]
    public void A_project_references_only_what_the_design_allows(string name, params string[] allowed) => Assert.Empty(Ours(Assembly.Load(name).GetReferencedAssemblies()).Except(allowed));

    [Fact]
    public void The_contract_and_the_blocks_of_model_families_have_one_version() =>
        Assert.Equal(Assembly.Load("Titan.Abstractions").GetName().Version, Assembly.Load("Titan.Models").GetName().Version);

    [Fact]
    public void A_plugin_references_the_contract_alone_and_a_model_family_the_blocks_of_models()
    {
        var plugins = Directory.EnumerateDirectories(Path.Combine(Path.GetDirectoryName(SampleAssets.Root)!, "artifacts", "plugins")).SelectMany(f => Directory.EnumerateFiles(f, "Titan.Plugins.*.dll")).ToList();
        Assert.True(plugins.Count >= 4, string.Join(", ", plugins));
        foreach (var plugin in plugins)
        {
            using var image = new PEReader(File.OpenRead(plugin));
            var metadata = image.GetMetadataReader();
            var isFamily = metadata.TypeReferences.Any(t => metadata.GetString(metadata.GetTypeReference(t).Name) == "ExportModelAttribute");
            Assert.Equal(isFamily ? ["Titan.Abstractions", "Titan.Models"] : ["Titan.Abstractions"],
                Ours(metadata.AssemblyReferences.Select(r => metadata.GetAssemblyReference(r).GetAssemblyName())).Order(StringComparer.Ordinal));
        }
    }

    private static IEnumerable<string> Ours(IEnumerable<AssemblyName> references) => references.Select(a => a.Name!).Where(a => a.StartsWith("Titan", StringComparison.OrdinalIgnoreCase));

    [Fact]
    public void The_contract_does_no_input_or_output_and_calls_nothing_native_but_autograds_nodes()
    {
        string[] native = ["System.Runtime.InteropServices.NativeLibrary", "System.Runtime.InteropServices.LibraryImportAttribute", "System.Runtime.InteropServices.DllImportAttribute"];
        var result = Types.InAssembly(Assembly.Load("Titan.Abstractions")).That().DoNotHaveNameStartingWith("AutogradLibrary")
            .ShouldNot().HaveDependencyOnAny(["System.IO", "System.Net", .. native]).GetResult();
        Assert.True(result.IsSuccessful, string.Join(", ", result.FailingTypeNames ?? []));
    }
}
