using System.Diagnostics;
using Titan.Abstractions;
using Titan.Training.Checkpoints;

namespace Titan.Training.Tests.Checkpoints;

/// <summary>What stands in the place of a checkpoint's file is no file: nobody waits for it, reads it without end, or writes through it.</summary>
public sealed class SpecialFileTests : IDisposable
{
    private static readonly string[] Files = ["dataloader.json", "manifest.json", "manifest.json.sha256", "model.safetensors", "optimizer.safetensors", "train_state.json"];

    private readonly TestFolder folder = new();
    private readonly List<string> warnings = [];

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData("a pipe")]
    [InlineData("a socket")]
    [InlineData("a link to a device")]
    [InlineData("a link to itself")]
    [InlineData("a link to the same bytes")]
    public void In_the_place_of_any_file_makes_the_checkpoint_before_it_the_newest(string what)
    {
        foreach (var file in Files)
        {
            Save();
            var path = folder.At("run", "step-5", file);
            var bytes = File.ReadAllBytes(path);
            File.Delete(path);
            using var made = Make(what, path, bytes);
            warnings.Clear();
            using (var reader = new CheckpointStore(folder.At("run"), 0, writable: false, warnings.Add)) Assert.True(reader.OpenNewest() is { Manifest.Step: 2 } opened && opened.IsWhole(), file);
            Assert.Contains("3 steps are lost", Assert.Single(warnings), StringComparison.Ordinal);
            Assert.Equal(ExitCode.Data, Assert.Throws<TitanException>(() => CheckpointStore.OpenFolder(folder.At("run", "step-5"))).Code);
            Directory.Delete(folder.At("run"), true);
        }
    }

    [Theory]
    [InlineData("a pipe")]
    [InlineData("a link to a device")]
    [InlineData("a link to itself")]
    [InlineData("a link to the same bytes")]
    public void In_the_place_of_the_lock_is_refused_and_what_it_leads_to_stays(string what)
    {
        Directory.CreateDirectory(folder.At("run"));
        using var made = Make(what, folder.At("run", ".lock"), "somebody's"u8.ToArray());
        var error = Assert.Throws<TitanException>(() => new CheckpointStore(folder.At("run"), 0, writable: true, warnings.Add));
        Assert.Equal(ExitCode.Data, error.Code);
        Assert.Contains($"'{folder.At("run", ".lock")}' cannot be a lock", error.Message, StringComparison.Ordinal);
        if (File.Exists(folder.At("elsewhere"))) Assert.Equal("somebody's", File.ReadAllText(folder.At("elsewhere")));
    }

    [Fact]
    public void A_manifest_of_a_terabyte_is_not_read()
    {
        Save();
        foreach (var file in new[] { "manifest.json", "manifest.json.sha256" })
        {
            using (var huge = File.OpenWrite(folder.At("run", "step-5", file))) huge.SetLength(1L << 40);
            Assert.Contains($"{file} has 1099511627776 bytes, expected", Assert.Throws<TitanException>(() => CheckpointStore.OpenFolder(folder.At("run", "step-5"))).Message, StringComparison.Ordinal);
            using (var huge = File.OpenWrite(folder.At("run", "step-5", file))) huge.SetLength(10);
            Directory.Delete(folder.At("run"), true);
            Save();
        }
    }

    [Fact]
    public void Folders_that_go_round_in_a_circle_hold_no_checkpoint()
    {
        Directory.CreateDirectory(folder.At("run", "a"));
        foreach (var link in new[] { "one", "two", "three" }) Directory.CreateSymbolicLink(folder.At("run", "a", link), folder.At("run"));
        using var store = new CheckpointStore(folder.At("run"), 0, writable: true, warnings.Add);
        Assert.Null(store.OpenNewest());
        Assert.Contains("has no manifest.json", Assert.Throws<TitanException>(() => CheckpointStore.OpenFolder(folder.At("run"))).Message, StringComparison.Ordinal);
    }

    private void Save()
    {
        using var store = new CheckpointStore(folder.At("run"), 0, writable: true, warnings.Add);
        store.SaveSmall(2);
        store.SaveSmall(5);
    }

    private System.Net.Sockets.Socket? Make(string what, string path, byte[] bytes)
    {
        switch (what)
        {
            case "a pipe":
                using (var make = Process.Start("mkfifo", path)) make.WaitForExit();
                return null;
            case "a socket":
                var socket = new System.Net.Sockets.Socket(System.Net.Sockets.AddressFamily.Unix, System.Net.Sockets.SocketType.Stream, System.Net.Sockets.ProtocolType.Unspecified);
                socket.Bind(new System.Net.Sockets.UnixDomainSocketEndPoint(path));
                return socket;
            case "a link to a device":
                File.CreateSymbolicLink(path, "/dev/zero");
                return null;
            case "a link to itself":
                File.CreateSymbolicLink(path, Path.GetFileName(path));
                return null;
            default:
                File.WriteAllBytes(folder.At("elsewhere"), bytes);
                File.CreateSymbolicLink(path, folder.At("elsewhere"));
                return null;
        }
    }
}
