using System.Text.Json.Nodes;
using CsCheck;
using Titan.Abstractions;
using Titan.Training.Checkpoints;

namespace Titan.Training.Tests.Checkpoints;

/// <summary>Whatever happens to the newest checkpoint is noticed, said, and costs only the steps since the one before it.</summary>
public sealed class DamageTests : IDisposable
{
    private readonly TestFolder folder = new();
    private readonly List<string> warnings = [];

    public DamageTests()
    {
        using var store = new CheckpointStore(folder.At("whole"), 0, writable: true, warnings.Add);
        store.SaveSmall(2);
        store.SaveSmall(5);
    }

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Six_files_make_a_checkpoint() =>
        Assert.Equal(["dataloader.json", "manifest.json", "manifest.json.sha256", "model.safetensors", "optimizer.safetensors", "train_state.json"], Files);

    [Fact]
    public void A_file_that_is_gone_cut_or_longer_is_noticed()
    {
        foreach (var file in Files)
        {
            FallsBack(f => File.Delete(Path.Combine(f, file)), file);
            FallsBack(f => Rewrite(f, file, b => b[..^1]), file);
            FallsBack(f => Rewrite(f, file, _ => []), file);
            FallsBack(f => Rewrite(f, file, b => [.. b, 0]), file);
        }
    }

    [Fact]
    public void Any_flipped_bit_in_any_file_is_noticed() =>
        Gen.Int[0, Files.Count - 1].Select(Gen.Double[0, 1], Gen.Int[0, 7]).Sample((file, at, bit) =>
            FallsBack(f => Rewrite(f, Files[file], b =>
            {
                b[(int)(at * (b.Length - 1))] ^= (byte)(1 << bit);
                return b;
            }), $"{Files[file]} at {at} bit {bit}"), iter: 150, threads: 1);

    [Fact]
    public void Swapped_files_and_files_of_another_step_are_noticed()
    {
        FallsBack(f =>
        {
            File.Move(Path.Combine(f, "model.safetensors"), Path.Combine(f, "x"));
            File.Move(Path.Combine(f, "optimizer.safetensors"), Path.Combine(f, "model.safetensors"));
            File.Move(Path.Combine(f, "x"), Path.Combine(f, "optimizer.safetensors"));
        }, "swapped");
        foreach (var file in Files.Where(f => f.EndsWith(".safetensors", StringComparison.Ordinal) || f.StartsWith("manifest", StringComparison.Ordinal)))
            FallsBack(f => File.Copy(Path.Combine(f, "..", "step-2", file), Path.Combine(f, file), true), $"{file} of step 2");
        FallsBack(f =>
        {
            Directory.Delete(f, true);
            Copy(Path.Combine(f, "..", "step-2"), f);
        }, "all of step 2");
    }

    [Fact]
    public void A_file_more_and_links_are_noticed()
    {
        FallsBack(f => File.WriteAllText(Path.Combine(f, "extra.bin"), "x"), "extra");
        foreach (var (file, target) in new[] { ("model.safetensors", "../step-2/model.safetensors"), ("manifest.json", "/dev/zero"), ("manifest.json.sha256", "/dev/zero") })
        {
            FallsBack(f =>
            {
                File.Delete(Path.Combine(f, file));
                File.CreateSymbolicLink(Path.Combine(f, file), target);
            }, $"{file} a link");
        }
    }

    [Theory]
    [InlineData("extra")]
    [InlineData("missing")]
    [InlineData("duplicate")]
    [InlineData("without hashes")]
    [InlineData("with short hashes")]
    [InlineData("nameless")]
    [InlineData("null entry")]
    [InlineData("null files")]
    [InlineData("no files")]
    [InlineData("files of another kind")]
    [InlineData("outside")]
    [InlineData("of another step")]
    [InlineData("format 0")]
    [InlineData("null format")]
    public void A_manifest_that_does_not_tell_the_truth_is_noticed_even_if_its_seal_is_right(string kind) => FallsBack(f => SmallCheckpoint.EditManifest(f, manifest =>
    {
        var files = manifest["files"]!.AsArray();
        Action edit = kind switch
        {
            "extra" => () => files.Add(new JsonObject { ["name"] = "more.safetensors", ["length"] = 1, ["sha256"] = new string('0', 64) }),
            "missing" => () => files.RemoveAt(0),
            "duplicate" => () => files.Add(files[0]!.DeepClone()),
            "without hashes" => () => files.ToList().ForEach(e => e!.AsObject().Remove("sha256")),
            "with short hashes" => () => files[0]!["sha256"] = "",
            "nameless" => () => files[0]!.AsObject().Remove("name"),
            "null entry" => () => files.Add(null),
            "null files" => () => manifest["files"] = null,
            "no files" => () => manifest["files"] = new JsonArray(),
            "files of another kind" => () => manifest["files"] = "all",
            "outside" => () => files[0]!["name"] = "../step-2/model.safetensors",
            "of another step" => () => manifest["step"] = 7,
            "format 0" => () => manifest["format"] = 0,
            _ => () => manifest["format"] = null,
        };
        edit();
    }), kind);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_newer_format_is_neither_read_nor_set_aside(bool isSealed)
    {
        SmallCheckpoint.EditManifest(folder.At("whole", "step-5"), m => m["format"] = 4);
        if (!isSealed) File.Delete(folder.At("whole", "step-5", CheckpointManifest.SealName));
        using var store = new CheckpointStore(folder.At("whole"), 0, writable: true, warnings.Add);
        Assert.Contains("has format 4, this program reads up to 3; use a newer Titan", Refused(() => store.OpenNewest()), StringComparison.Ordinal);
        Assert.True(Directory.Exists(folder.At("whole", "step-5")));
    }

    [Fact]
    public void When_all_are_damaged_all_are_kept_and_it_is_said_that_training_starts_over()
    {
        foreach (var step in new[] { 2, 5 }) Rewrite(folder.At("whole", $"step-{step}"), "model.safetensors", b => b[..^1]);
        using var store = new CheckpointStore(folder.At("whole"), 0, writable: true, warnings.Add);
        Assert.Null(store.OpenNewest());
        Assert.Equal(2, warnings.Count);
        Assert.Contains("3 steps are lost", warnings[0], StringComparison.Ordinal);
        Assert.Contains("training starts over", warnings[1], StringComparison.Ordinal);
        Assert.True(Directory.Exists(folder.At("whole", "step-2.corrupt")) && Directory.Exists(folder.At("whole", "step-5.corrupt")));
    }

    [Fact]
    public void A_second_damaged_checkpoint_of_the_same_step_does_not_replace_the_first()
    {
        using var store = new CheckpointStore(folder.At("whole"), 0, writable: true, warnings.Add);
        for (var i = 0; i < 3; i++)
        {
            if (i > 0) store.SaveSmall(5);
            Rewrite(folder.At("whole", "step-5"), "model.safetensors", b => b[..^1]);
            Assert.Equal(2, store.OpenNewest()!.Manifest.Step);
        }

        Assert.True(Directory.Exists(folder.At("whole", "step-5.corrupt")) && Directory.Exists(folder.At("whole", "step-5.corrupt2")) && Directory.Exists(folder.At("whole", "step-5.corrupt3")));
    }

    [Fact]
    public void One_who_only_reads_passes_over_a_damaged_checkpoint_and_changes_nothing()
    {
        Rewrite(folder.At("whole", "step-5"), "model.safetensors", b => b[..^1]);
        using var store = new CheckpointStore(folder.At("whole"), 0, writable: false, warnings.Add);
        Assert.Equal(2, store.OpenNewest()!.Manifest.Step);
        Assert.Contains("is passed over; falling back to step-2: 3 steps are lost", Assert.Single(warnings), StringComparison.Ordinal);
        Assert.Equal(["step-2", "step-5"], Directory.EnumerateDirectories(folder.At("whole")).Select(d => Path.GetFileName(d)).Order());
    }

    [Fact]
    public void A_damaged_step_that_was_asked_for_by_number_or_path_is_refused_without_falling_back()
    {
        Rewrite(folder.At("whole", "step-5"), "model.safetensors", b => b[..^1]);
        using var store = new CheckpointStore(folder.At("whole"), 0, writable: true, warnings.Add);
        Assert.Contains("is damaged: model.safetensors has", Refused(() => store.Open(5)), StringComparison.Ordinal);
        Assert.Contains("is damaged: model.safetensors has", Refused(() => CheckpointStore.OpenFolder(folder.At("whole", "step-5"))), StringComparison.Ordinal);
        Assert.Contains("has no such checkpoint; it has: 5, 2", Refused(() => store.Open(3)), StringComparison.Ordinal);
        Assert.True(Directory.Exists(folder.At("whole", "step-5")));
    }

    [Fact]
    public void Any_change_of_a_tensor_file_reads_as_a_data_error_or_as_tensors_within_the_file()
    {
        var whole = File.ReadAllBytes(folder.At("whole", "step-5", "model.safetensors"));
        Gen.Int[0, whole.Length - 1].Select(Gen.Byte, Gen.Int[0, whole.Length]).Sample((at, value, length) =>
        {
            var damaged = (byte[])whole.Clone();
            damaged[at] = value;
            var path = folder.Write("damaged.safetensors", value % 4 == 0 ? damaged[..length] : damaged);
            try
            {
                foreach (var entry in SafetensorsFile.ReadHeader(path).Values) SafetensorsFile.Read(path, entry).Dispose();
            }
            catch (TitanException e)
            {
                Assert.Equal(ExitCode.Data, e.Code);
            }
        }, iter: 500, threads: 1);
    }

    private IReadOnlyList<string> Files => [.. Directory.EnumerateFiles(folder.At("whole", "step-5")).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal)];

    private static string Refused(Action action)
    {
        var error = Assert.Throws<TitanException>(action);
        Assert.Equal(ExitCode.Data, error.Code);
        return error.Message;
    }

    private static void Rewrite(string checkpoint, string file, Func<byte[], byte[]> change)
    {
        var path = Path.Combine(checkpoint, file);
        File.WriteAllBytes(path, change(File.ReadAllBytes(path)));
    }

    private static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var file in Directory.EnumerateFiles(from)) File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
    }

    /// <summary>Damages step 5 of a copy: step 2 must be used, the loss be said, and what is left of step 5 be kept.</summary>
    private void FallsBack(Action<string> damage, string what)
    {
        var root = folder.At(Guid.NewGuid().ToString("N"));
        foreach (var step in new[] { "step-2", "step-5" }) Copy(folder.At("whole", step), Path.Combine(root, step));
        damage(Path.Combine(root, "step-5"));
        var left = Directory.EnumerateFiles(Path.Combine(root, "step-5")).Count();
        warnings.Clear();
        using (var store = new CheckpointStore(root, 0, writable: true, warnings.Add))
        {
            var opened = store.OpenNewest();
            Assert.True(opened is { Manifest.Step: 2 } && opened.IsWhole(), what);
        }

        Assert.True(warnings.Count == 1 && warnings[0].Contains("step-5", StringComparison.Ordinal) && warnings[0].Contains("3 steps are lost", StringComparison.Ordinal), $"{what}: {string.Join("; ", warnings)}");
        var kept = Path.Combine(root, Directory.Exists(Path.Combine(root, "step-5.corrupt")) ? "step-5.corrupt" : "step-5");
        Assert.True(Directory.EnumerateFiles(kept).Count() == left, what);
        Directory.Delete(root, true);
    }
}
