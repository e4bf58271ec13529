using System.Text.Json.Nodes;
using Titan.Training.Checkpoints;
using static TorchSharp.torch;

namespace Titan.Training.Tests.Checkpoints;

/// <summary>A checkpoint with what a real one has, of a few bytes.</summary>
internal static class SmallCheckpoint
{
    /// <summary>Saves tensors that are full of the step's number.</summary>
    public static void SaveSmall(this CheckpointStore store, long step, string state = "{}")
    {
        using var weights = full(4, 3, (float)step);
        using var moments = full(4, 3, step + 0.5f);
        store.Save(step, new CheckpointContents(
            new Dictionary<string, IReadOnlyList<TensorPart>> { ["model.safetensors"] = [TensorPart.Whole("w", weights)], ["optimizer.safetensors"] = [TensorPart.Whole("w", moments)] },
            new Dictionary<string, string> { ["train_state.json"] = state, ["dataloader.json"] = """{"epoch": 0}""" },
            new Dictionary<string, string> { ["plugin a"] = "1.0" }));
    }

    /// <summary>Whether a checkpoint holds what was saved at its step.</summary>
    public static bool IsWhole(this OpenedCheckpoint checkpoint)
    {
        using var read = zeros(4, 3);
        checkpoint.ReadInto("model.safetensors", [TensorPart.Whole("w", read)]);
        return read.data<float>().All(v => v == checkpoint.Manifest.Step);
    }

    /// <summary>Changes a manifest and seals it again, as one who knows the format would.</summary>
    public static void EditManifest(string folder, Action<JsonObject> edit)
    {
        var path = Path.Combine(folder, CheckpointManifest.FileName);
        var manifest = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        edit(manifest);
        File.WriteAllText(path, manifest.ToJsonString());
        File.WriteAllText(Path.Combine(folder, CheckpointManifest.SealName), OpenedCheckpoint.Seal(File.ReadAllBytes(path)));
    }

    /// <summary>Changes a file and all that tells of its bytes.</summary>
    public static void Rewrite(string folder, string file, Func<byte[], byte[]> change)
    {
        var path = Path.Combine(folder, file);
        var bytes = change(File.ReadAllBytes(path));
        File.WriteAllBytes(path, bytes);
        EditManifest(folder, m =>
        {
            var entry = m["files"]!.AsArray().Single(f => f!["name"]!.GetValue<string>() == file)!;
            (entry["length"], entry["sha256"]) = (bytes.Length, System.Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(bytes)));
        });
    }

    /// <summary>Changes a file of text and all that tells of its bytes.</summary>
    public static void RewriteText(string folder, string file, Func<string, string> change) =>
        Rewrite(folder, file, b => System.Text.Encoding.UTF8.GetBytes(change(System.Text.Encoding.UTF8.GetString(b))));
}
