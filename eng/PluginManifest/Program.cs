using System.Security.Cryptography;
using System.Text.Json;
using Titan.Host.Plugins;
using Titan.PluginManifest;
using PluginManifest = Titan.Host.Plugins.PluginManifest;

// Stages a built plugin as the folder that a user drops in, with its manifest. Called by Titan.Abstractions.targets after each build of a plugin.
if (args is not [var id, var version, var assembly, var stage, var references])
{
    Console.Error.WriteLine("usage: Titan.PluginManifest ID VERSION ASSEMBLY STAGE_FOLDER FILE_OF_REFERENCES");
    return 2;
}

string[] hostOwned = ["Titan.Abstractions.dll", "Titan.Models.dll", "TorchSharp.dll"];
string[] notShipped = [".pdb", ".xml", ".runtimeconfig.json"];
if (Directory.Exists(stage)) Directory.Delete(stage, recursive: true);
var output = Path.GetDirectoryName(Path.GetFullPath(assembly))!;
var inspected = AssemblyInspector.Read(assembly);
if (!inspected.References.TryGetValue("Titan.Abstractions", out var contract)) return Fail("it does not reference Titan.Abstractions");
if (inspected.Classes.Count == 0) return Fail("it exports nothing; mark a class with [ExportRecipe] or another of the contract's export attributes");
if (hostOwned.FirstOrDefault(f => File.Exists(Path.Combine(output, f))) is { } owned)
    return Fail($"{owned} is in its output; reference it with ExcludeAssets=\"runtime;native\" and remove the output folder");

List<PluginExport> exports;
try
{
    var options = new ExportedOptions(assembly, File.ReadAllLines(references));
    exports = [.. inspected.Classes.Select(c => options.Complete(c.Class, c.Attribute, c.Export))];
}
catch (InvalidOperationException e)
{
    return Fail(e.Message);
}

var files = new List<PluginFile>();
foreach (var source in Directory.EnumerateFiles(output, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
{
    var relative = Path.GetRelativePath(output, source).Replace('\\', '/');
    if (notShipped.Any(relative.EndsWith) || relative.StartsWith("plugin/", StringComparison.Ordinal)) continue;
    var target = Path.Combine(stage, relative);
    Directory.CreateDirectory(Path.GetDirectoryName(target)!);
    File.Copy(source, target);
    files.Add(new PluginFile(relative, Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(target)))));
}

var manifest = new PluginManifest
{
    Id = id,
    Version = version,
    Contract = $"{ContractRange.Of(contract)}",
    Assembly = Path.GetFileName(assembly),
    Exports = exports,
    Files = files,
};
File.WriteAllText(Path.Combine(stage, PluginManifest.FileName), JsonSerializer.Serialize(manifest, PluginManifest.Json) + "\n");
return 0;

int Fail(string why)
{
    Console.Error.WriteLine($"{Path.GetFileName(assembly)} : error TITAN001: plugin '{id}' cannot be staged: {why.ReplaceLineEndings(" ")}");
    return 1;
}
