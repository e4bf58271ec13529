namespace Titan.Plugins.Tests;

/// <summary>Plugins as a third party writes them: in a project outside the repository, against the packed contract.</summary>
public sealed class OutsidePluginTests(OutsidePluginTests.PackedContract contract) : IClassFixture<OutsidePluginTests.PackedContract>
{
    private const string Good = """
        [ExportRecipe("acme", "all_e4m3", IsDefault = true, Status = ExportStatus.Prototype, Summary = "e4m3 everywhere")]
        public sealed class Recipe : QuantizationRecipe<NoOptions>
        {
            public override LinearRecipe Describe(NoOptions options) => new(
                new(E4M3.Tensorwise, E4M3.Tensorwise), new(E4M3.Tensorwise, E4M3.Tensorwise), new(E4M3.Tensorwise, E4M3.Tensorwise));
        }
        """;

    [Fact]
    public void A_recipe_from_outside_is_dropped_into_a_folder_and_trains()
    {
        var folder = contract.Build("good", Good);
        var dump = Directory.CreateTempSubdirectory("titan-outside").FullName;
        try
        {
            var (code, output) = Processes.Run(Processes.Titan, dump,
            [
                "train", "--plugins.path", folder, "--model.converters", "quantize.linear.acme", "--model.flavor", "cpu_small", "--training.seq_len", "32", "--training.steps", "2",
                "--activation_checkpoint.mode", "none", "--job.dump_folder", dump,
            ]);
            Assert.True(code == 0, output);
            Assert.Contains("acme/all_e4m3", output, StringComparison.Ordinal);
            Assert.Contains("float8_matmuls: 87", output, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(dump, true);
        }
    }

    /// <summary>The contract as a package in a folder, and projects that are built against it.</summary>
    public sealed class PackedContract : IDisposable
    {
        private readonly string root = Directory.CreateTempSubdirectory("titan-contract").FullName;
        private readonly string version = $"1.0.0-test.{DateTime.UtcNow.Ticks}";

        public PackedContract()
        {
            var project = Path.Combine(StagedPlugin.Repository, "src", "Abstractions", "Titan.Abstractions.csproj");
            var (code, output) = Processes.Run("dotnet", root, ["pack", project, "-c", "Release", "--no-build", $"-p:PackageVersion={version}", "-o", $"{root}/feed"]);
            Assert.True(code == 0, output);
        }

        public string Build(string id, string source)
        {
            var folder = Directory.CreateDirectory(Path.Combine(root, id)).FullName;
            File.WriteAllText(Path.Combine(folder, "Recipe.cs"), "using System;\nusing Titan.Abstractions;\n" + source);
            File.WriteAllText(Path.Combine(folder, $"{id}.csproj"), $"""
                <Project Sdk="Microsoft.NET.Sdk">
                  <PropertyGroup>
                    <TargetFramework>net10.0</TargetFramework>
                    <EnableDynamicLoading>true</EnableDynamicLoading>
                    <PluginId>{id}</PluginId>
                    <RestoreAdditionalProjectSources>{root}/feed</RestoreAdditionalProjectSources>
                    <NoWarn>NU1603</NoWarn>
                  </PropertyGroup>
                  <ItemGroup>
                    <PackageReference Include="Titan.Abstractions" Version="{version}" ExcludeAssets="runtime;native" PrivateAssets="all" />
                  </ItemGroup>
                </Project>
                """);
            var (code, output) = Processes.Run("dotnet", folder, ["build", "-c", "Release", "--nologo"]);
            Assert.True(code == 0, output);
            return Path.Combine(folder, "bin", "Release", "net10.0", "plugin", id);
        }

        public void Dispose()
        {
            Directory.Delete(root, true);
            var cache = Environment.GetEnvironmentVariable("NUGET_PACKAGES") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
            var unpacked = Path.Combine(cache, "titan.abstractions", version);
            if (Directory.Exists(unpacked)) Directory.Delete(unpacked, true);
        }
    }
}
