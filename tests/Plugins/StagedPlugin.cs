using System.Security.Cryptography;
using System.Text.Json;
using Titan.Host.Plugins;
using Titan.Training.Data;

namespace Titan.Plugins.Tests;

/// <summary>A copy of the staged tensorwise plugin, to be damaged.</summary>
internal sealed class StagedPlugin : IDisposable
{
    public StagedPlugin(string? id = null)
    {
        Folder = Directory.CreateTempSubdirectory("titan-plugin").FullName;
        foreach (var file in Directory.EnumerateFiles(Path.Combine(Repository, "artifacts", "plugins", "titan.float8-tensorwise")))
            File.Copy(file, Path.Combine(Folder, Path.GetFileName(file)));
        Change(m => m with { Id = id ?? "fixture" });
    }

    public static string Repository => Path.GetDirectoryName(SampleAssets.Root)!;

    public string Folder { get; }

    public string Assembly => Path.Combine(Folder, "Titan.Plugins.Float8Tensorwise.dll");

    private string ManifestPath => Path.Combine(Folder, PluginManifest.FileName);

    public void Change(Func<PluginManifest, PluginManifest> change) =>
        File.WriteAllText(ManifestPath, JsonSerializer.Serialize(change(JsonSerializer.Deserialize<PluginManifest>(File.ReadAllText(ManifestPath), PluginManifest.Json)!), PluginManifest.Json));

    /// <summary>Makes the manifest fit the files again, as an author's build would.</summary>
    public void Rehash() => Change(m => m with { Files = [.. m.Files.Select(f => new PluginFile(f.Path, Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(Path.Combine(Folder, f.Path))))))] });

    public PluginRecord Inspect() => PluginInspection.Inspect(Folder, PluginCatalog.Contract);

    public void Dispose() => Directory.Delete(Folder, true);
}
