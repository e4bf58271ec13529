using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Titan.Training.Files;

namespace Titan.Host.Plugins;

/// <summary>Looks at a plugin folder without running any of its code, in this order: manifest, contract range, platform, files and hashes, metadata of the assembly.</summary>
public static class PluginInspection
{
    private static readonly string[] HostOwned = ["Titan.Abstractions.dll", "Titan.Models.dll", "TorchSharp.dll", "System.Composition.AttributedModel.dll"];

    /// <summary>Looks at one folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="contract">The host's version of the contract.</param>
    public static PluginRecord Inspect(string folder, Version contract)
    {
        folder = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        var record = new PluginRecord { Id = Path.GetFileName(folder), Folder = folder };
        try
        {
            return Inspect(record, contract);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return record.As(PluginStatus.Malfunctioned, $"its files cannot be read: {e.Message}", "check the folder's permissions");
        }
        catch (Exception e)
        {
            // Metadata can be wrong in more ways than one can list; none of them is the host's end.
            return record.As(PluginStatus.Malfunctioned, $"cannot be inspected: {e.GetType().Name}: {e.Message.ReplaceLineEndings(" ")}", "build the plugin again");
        }
    }

    private static PluginRecord Inspect(PluginRecord record, Version contract)
    {
        var path = Path.Combine(record.Folder, PluginManifest.FileName);
        if (!File.Exists(path))
            return record.As(PluginStatus.Malfunctioned, $"the folder has no {PluginManifest.FileName}", "copy the whole folder that the plugin's build staged");
        PluginManifest manifest;
        try
        {
            manifest = JsonSerializer.Deserialize<PluginManifest>(Encoding.UTF8.GetString(RegularFile.ReadAllBytes(path, PluginManifest.Largest, followLinks: false)).TrimStart('\ufeff'), PluginManifest.Json) ?? throw new JsonException("it is empty");
        }
        catch (IOException e)
        {
            return record.As(PluginStatus.Malfunctioned, $"{PluginManifest.FileName}: {e.Message}", "copy the whole folder that the plugin's build staged");
        }
        catch (JsonException e)
        {
            return record.As(PluginStatus.Malfunctioned, $"{PluginManifest.FileName} line {(e.LineNumber ?? 0) + 1}: {e.Message.Split(" Path:")[0]}", "build the plugin again; the build makes the manifest");
        }

        // An id is printed and compared: one that is none is not taken over.
        if (!PluginNames.IsId(manifest.Id)) return record.As(PluginStatus.Malfunctioned, $"its id {JsonSerializer.Serialize(manifest.Id)} is not made of lower-case letters, digits, dots and dashes", "set PluginId in its project");
        record = record with { Id = manifest.Id, Exports = manifest.Exports, Manifest = manifest };
        if (manifest.Schema != PluginManifest.Format)
            return record.As(PluginStatus.Incompatible, $"its manifest has format {manifest.Schema}, this host reads {PluginManifest.Format}", manifest.Schema > PluginManifest.Format ? "upgrade Titan" : "build the plugin again");
        if (PluginVersion.Parse(manifest.Version) is null) return record.As(PluginStatus.Malfunctioned, $"its version {JsonSerializer.Serialize(manifest.Version)} is not a version", "set Version in its project");
        record = record with { Version = manifest.Version };
        if (ContractRange.Parse(manifest.Contract) is not { } range)
            return record.As(PluginStatus.Malfunctioned, $"its contract range '{manifest.Contract}' is not of the form '>=1.0 <2.0'", "build the plugin again");
        if (!range.Contains(contract))
            return record.As(PluginStatus.Incompatible, $"needs contract {range}, this host has {contract.ToString(2)}", contract < range.Least ? "upgrade Titan, or use an older version of the plugin" : "use a newer version of the plugin");
        if (manifest.Rids.Count > 0 && !manifest.Rids.Contains(RuntimeInformation.RuntimeIdentifier) && !manifest.Rids.Contains(PortableRid()))
            return record.As(PluginStatus.Unsupported, $"is for {string.Join(", ", manifest.Rids)}, this is {PortableRid()}", "get the plugin's build for this platform");
        return Files(record, manifest) ?? Metadata(record, manifest, contract);
    }

    private static PluginRecord? Files(PluginRecord record, PluginManifest manifest)
    {
        var (present, fault) = PluginTree.Of(record.Folder);
        if (fault is not null) return record.As(PluginStatus.Malfunctioned, fault, "copy the whole folder that the plugin's build staged, and nothing else, without links");
        if (present.FirstOrDefault(f => HostOwned.Contains(Path.GetFileName(f), StringComparer.OrdinalIgnoreCase)) is { } owned)
            return record.As(PluginStatus.Malfunctioned, $"ships its own {owned}, which belongs to the host", "reference the package with ExcludeAssets=\"runtime;native\" and build again");
        if (manifest.Files.All(f => f.Path != manifest.Assembly)) return record.As(PluginStatus.Malfunctioned, $"its manifest does not list its assembly '{manifest.Assembly}'", "build the plugin again");
        foreach (var file in manifest.Files)
        {
            var full = Path.GetFullPath(Path.Combine(record.Folder, file.Path));
            if (!full.StartsWith(record.Folder + Path.DirectorySeparatorChar, StringComparison.Ordinal))
                return record.As(PluginStatus.Malfunctioned, $"its manifest names a file outside its folder: '{file.Path}'", "do not use this plugin");
            if (!File.Exists(full)) return record.As(PluginStatus.Malfunctioned, $"its file '{file.Path}' is missing", "copy the whole folder that the plugin's build staged");
            try
            {
                RegularFile.ThrowIfOther(full, followLinks: false);
            }
            catch (IOException e)
            {
                return record.As(PluginStatus.Modified, $"its file '{file.Path}': {e.Message}", "copy the whole folder that the plugin's build staged");
            }

            using var stream = File.OpenRead(full);
            if (System.Convert.ToHexStringLower(SHA256.HashData(stream)) != file.Sha256)
                return record.As(PluginStatus.Modified, $"its file '{file.Path}' differs from the manifest's SHA-256", "get the plugin again from where it came from, or build it again");
        }

        return present.Except(manifest.Files.Select(f => f.Path)).FirstOrDefault(f => f != PluginManifest.FileName) is { } extra
            ? record.As(PluginStatus.Modified, $"its file '{extra}' is not in its manifest", "remove the file, or build the plugin again")
            : null;
    }

    private static PluginRecord Metadata(PluginRecord record, PluginManifest manifest, Version contract)
    {
        record = record with { Hash = manifest.Files.First(f => f.Path == manifest.Assembly).Sha256 };
        AssemblyInspector assembly;
        try
        {
            assembly = AssemblyInspector.Read(Path.Combine(record.Folder, manifest.Assembly));
        }
        catch (BadImageFormatException e)
        {
            return record.As(PluginStatus.Malfunctioned, $"'{manifest.Assembly}' is not a .NET assembly: {e.Message}", "build the plugin again");
        }

        if (!assembly.References.TryGetValue("Titan.Abstractions", out var built))
            return record.As(PluginStatus.Malfunctioned, $"'{manifest.Assembly}' does not reference Titan.Abstractions", "reference the package Titan.Abstractions");
        if (!ContractRange.Of(built).Contains(contract))
            return record.As(PluginStatus.Incompatible, $"was built against contract {built.ToString(2)}, this host has {contract.ToString(2)}", built > contract ? "upgrade Titan" : "use a newer version of the plugin");
        // One contract in two assemblies.
        if (assembly.References.TryGetValue("Titan.Models", out var models) && (models.Major != contract.Major || models.Minor > contract.Minor))
            return record.As(PluginStatus.Incompatible, $"was built against Titan.Models {models.ToString(2)}, this host has {contract.ToString(2)}", models > contract ? "upgrade Titan" : "use a newer version of the plugin");
        if (assembly.Exports.Count == 0) return record.As(PluginStatus.Malfunctioned, "exports nothing", $"mark a class with {ExportKinds.Marks}");
        if (ExportCheck.Fault(assembly.Exports) is { } wrong) return record.As(PluginStatus.Malfunctioned, wrong.Reason, wrong.NextStep);
        var difference = Attributes(manifest.Exports).Except(Attributes(assembly.Exports)).Concat(Attributes(assembly.Exports).Except(Attributes(manifest.Exports))).FirstOrDefault();
        if (difference.Title is not null)
            return record.As(PluginStatus.Malfunctioned, $"its manifest and '{manifest.Assembly}' disagree about {difference.Title}", "build the plugin again; the build makes the manifest");
        // What the options really are shows when it loads; here, whether they can be.
        return ExportCheck.Fault(manifest.Exports) is { } fault ? record.As(PluginStatus.Malfunctioned, fault.Reason, fault.NextStep) : record;
    }

    /// <summary>All that an export's attribute says.</summary>
    private static IEnumerable<(string Title, string Status, string Summary, bool IsDefault)> Attributes(IEnumerable<PluginExport> exports) => exports.Select(e => (e.Title, e.Status, e.Summary, e.IsDefault));

    private static string PortableRid() =>
        $"{(OperatingSystem.IsWindows() ? "win" : OperatingSystem.IsMacOS() ? "osx" : "linux")}-{RuntimeInformation.OSArchitecture.ToString().ToLowerInvariant()}";
}
