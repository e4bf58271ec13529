using System.Text.Json;
using Titan.Training.Files;

namespace Titan.Training.Checkpoints;

/// <summary>What a folder says it is, before anything in it is believed.</summary>
internal static class CheckpointKind
{
    /// <summary>The format of a folder's manifest; null where there is no manifest, 0 where it is none of ours.</summary>
    public static long? FormatOf(string folder)
    {
        var path = Path.Combine(folder, CheckpointManifest.FileName);
        if (!File.Exists(path)) return null;
        try
        {
            return CheckpointManifest.FormatOf(RegularFile.ReadAllBytes(path, CheckpointManifest.Largest));
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    }
}
