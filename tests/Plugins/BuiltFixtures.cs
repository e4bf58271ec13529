using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json;
using Titan.Abstractions;
using Titan.Host.Plugins;
using Titan.Models;

namespace Titan.Plugins.Tests;

/// <summary>The projects under Fixtures, built once against the contract that this test runs with.</summary>
public sealed class BuiltFixtures
{
    private static readonly string Output = Path.Combine(StagedPlugin.Repository, "artifacts", "fixtures");

    // bin/PROJECT/CONFIGURATION: the tool lies beside this test's own output.
    private static readonly string Configuration = Path.GetFileName(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar));

    // The files themselves, not the links to them here: a link is as old as this build, and every fixture would be compiled again.
    private static readonly string Contract = FolderOf(typeof(IModelConverter)), Models = FolderOf(typeof(IModelFamily));

    private static readonly Lazy<(int Code, string Output)> Build = new(() =>
    {
        var folder = Path.Combine(StagedPlugin.Repository, "tests", "Plugins", "Fixtures");
        return Processes.Run("dotnet", folder,
            ["build", "Fixtures.csproj", "-c", "Release", "--nologo", "-v", "quiet", $"-p:ContractFolder={Contract}", $"-p:ModelsFolder={Models}", $"-p:TitanPluginManifestTool={ManifestTool}"]);
    });

    public BuiltFixtures() => Assert.True(Build.Value.Code == 0, Build.Value.Output);

    public static string ManifestTool => Path.Combine(StagedPlugin.Repository, "artifacts", "bin", "Titan.PluginManifest", Configuration, "Titan.PluginManifest.dll");

    /// <summary>All staged fixtures.</summary>
    public static string Plugins => Path.Combine(Output, "plugins");

    /// <summary>The folder of one staged fixture.</summary>
    public static string Folder(string project) => Path.Combine(Plugins, project.ToLowerInvariant());

    /// <summary>An assembly of a fixture as its build left it.</summary>
    public static string Assembly(string project, string? name = null) => Path.Combine(Output, "bin", project, "release", (name ?? project) + ".dll");

    private static string FolderOf(Type type) =>
        Path.GetDirectoryName(new FileInfo(type.Assembly.Location).ResolveLinkTarget(true)?.FullName ?? type.Assembly.Location) + Path.DirectorySeparatorChar;

    /// <summary>A copy of a staged fixture, to be changed; its manifest fits the files again afterwards.</summary>
    public static string Changed(string project, string parent, Action<string> change)
    {
        var folder = Directory.CreateDirectory(Path.Combine(parent, project.ToLowerInvariant())).FullName;
        foreach (var file in Directory.EnumerateFiles(Folder(project))) File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        change(folder);
        var path = Path.Combine(folder, PluginManifest.FileName);
        var manifest = JsonSerializer.Deserialize<PluginManifest>(File.ReadAllText(path), PluginManifest.Json)!;
        var files = Directory.EnumerateFiles(folder).Where(f => f != path).Select(f => new PluginFile(Path.GetFileName(f), Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(f)))));
        File.WriteAllText(path, JsonSerializer.Serialize(manifest with { Files = [.. files] }, PluginManifest.Json));
        return folder;
    }
}

/// <summary>Programs in processes of their own.</summary>
internal static class Processes
{
    public static string Titan => Path.Combine(AppContext.BaseDirectory, "titan");

    public static (int Code, string Output) Run(string program, string folder, IEnumerable<string> arguments, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo(program, arguments) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in environment) start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + error.Result);
    }
}
