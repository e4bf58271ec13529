using Titan.Abstractions;
using Titan.Training.Checkpoints;

namespace Titan.Training.Tests.Checkpoints;

public sealed class CheckpointStoreTests : IDisposable
{
    private readonly TestFolder folder = new();
    private readonly List<string> warnings = [];

    public void Dispose() => folder.Dispose();

    private IEnumerable<string> Entries => Directory.EnumerateFileSystemEntries(folder.At("run")).Select(f => Path.GetFileName(f)).Where(n => n != ".lock").Order(StringComparer.Ordinal);

    [Theory]
    [InlineData(0, new long[] { 9, 8, 7, 6, 5, 4, 3, 2, 1 })]
    [InlineData(2, new long[] { 9, 8 })]
    [InlineData(3, new long[] { 9, 8, 7 })]
    public void The_latest_k_are_kept_and_0_keeps_all(int keep, long[] left)
    {
        using var store = Open(keep);
        for (var step = 1; step <= 9; step++) store.SaveSmall(step);
        Assert.Equal(left, store.Steps);
        Assert.All(left, step => Assert.True(store.Open(step).IsWhole()));
        Assert.Empty(warnings);
    }

    [Fact]
    public void Retention_counts_only_checkpoints_and_never_takes_the_one_just_saved()
    {
        using var store = Open(keep: 2);
        store.SaveSmall(8);
        store.SaveSmall(9);
        foreach (var name in new[] { "step-20", "step-30", "step-9.corrupt", "notes" }) Directory.CreateDirectory(folder.At("run", name));
        store.SaveSmall(3);
        Assert.Equal([9, 3], store.Steps);
        Assert.Equal(["notes", "step-20", "step-3", "step-30", "step-9", "step-9.corrupt"], Entries);
    }

    [Fact]
    public void Names_that_only_look_like_steps_are_not_read_and_not_touched()
    {
        string[] names = ["Step-5", "step-", "step--1", "step-007", "step-1e3", "step-100.tmp", "step-5\n", "step-9999999999999999999", "step-٣"];
        using (var store = Open())
        {
            store.SaveSmall(2);
            foreach (var name in names)
            {
                Directory.CreateDirectory(folder.At("run", name));
                foreach (var file in Directory.EnumerateFiles(store.Folder(2))) File.Copy(file, folder.At("run", name, Path.GetFileName(file)));
            }

            File.WriteAllText(folder.At("run", "step-8"), "a file");
        }

        using var again = Open(keep: 2);
        Assert.Equal([2], again.Steps);
        Assert.Equal(2, again.OpenNewest()!.Manifest.Step);
        again.SaveSmall(3);
        Assert.Equal([.. names.Append("step-2").Append("step-3").Append("step-8").Order(StringComparer.Ordinal)], Entries);
    }

    [Fact]
    public void A_folder_of_the_same_name_that_is_no_checkpoint_is_renamed_and_not_replaced()
    {
        using var store = Open();
        Directory.CreateDirectory(folder.At("run", "step-4"));
        File.WriteAllText(folder.At("run", "step-4", "mine.txt"), "mine");
        store.SaveSmall(4);
        Assert.True(store.Open(4).IsWhole());
        Assert.Equal("mine", File.ReadAllText(folder.At("run", "step-4.other", "mine.txt")));
        Assert.Contains("renamed to step-4.other", Assert.Single(warnings), StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_with_another_programs_checkpoints_is_refused()
    {
        Directory.CreateDirectory(folder.At("run", "step-4"));
        File.WriteAllText(folder.At("run", "step-4", "__0_0.distcp"), "x");
        using var store = Open();
        var error = Assert.Throws<TitanException>(store.OpenNewest);
        Assert.Equal(ExitCode.Data, error.Code);
        Assert.Contains("__0_0.distcp, which is not a checkpoint of this program; choose another checkpoint.folder", error.Message, StringComparison.Ordinal);
        Assert.True(File.Exists(folder.At("run", "step-4", "__0_0.distcp")));
    }

    [Fact]
    public void The_next_start_removes_what_a_crash_left_and_gives_back_what_was_about_to_be_replaced()
    {
        using (var store = Open())
        {
            store.SaveSmall(2);
            store.SaveSmall(4);
        }

        var name = new string('a', 32);
        Directory.Move(folder.At("run", "step-4"), folder.At("run", $".replaced-4.{name}.tmp"));
        foreach (var left in new[] { $".step-6.{name}.tmp", $".delete-1.{name}.tmp", $".replaced-2.{name}.tmp", ".mine.tmp" }) Directory.CreateDirectory(folder.At("run", left));
        using var again = Open();
        Assert.Equal(4, again.OpenNewest()!.Manifest.Step);
        Assert.Equal([".mine.tmp", "step-2", "step-4"], Entries);
    }

    [Fact]
    public void A_second_run_on_the_same_folder_is_refused_until_the_first_has_ended()
    {
        using (var first = Open())
        {
            var error = Assert.Throws<TitanException>(() => Open());
            Assert.Equal(ExitCode.Data, error.Code);
            Assert.Contains("is in use by another run", error.Message, StringComparison.Ordinal);
            first.SaveSmall(1);
            using var reader = Open(writable: false);
            Assert.Equal(1, reader.OpenNewest()!.Manifest.Step);
        }

        using var second = Open();
        Assert.Equal(1, second.OpenNewest()!.Manifest.Step);
    }

    [Theory]
    [InlineData("a file")]
    [InlineData("a file/below")]
    [InlineData("/proc/titan")]
    [InlineData("/proc/1/fdinfo")]
    [InlineData("locked")]
    public void A_folder_that_cannot_be_written_is_refused_with_the_keys_to_change(string name)
    {
        File.WriteAllText(folder.At("a file"), "x");
        Directory.CreateDirectory(folder.At("locked", ".lock"));
        var error = Assert.Throws<TitanException>(() => new CheckpointStore(folder.At(name), 0, writable: true, warnings.Add));
        Assert.Equal(ExitCode.Data, error.Code);
        Assert.Contains("cannot be written", error.Message, StringComparison.Ordinal);
        Assert.Contains("job.dump_folder or checkpoint.folder", error.Message, StringComparison.Ordinal);
        Assert.Equal("x", File.ReadAllText(folder.At("a file")));
    }

    [Theory]
    [InlineData("with spaces and 'quotes'")]
    [InlineData("Übung 中文 🙂")]
    [InlineData("deep")]
    public void Any_path_will_do(string name)
    {
        var root = name == "deep" ? folder.At([.. Enumerable.Repeat(new string('d', 100), 5)]) : folder.At(name);
        using var store = new CheckpointStore(root, 2, writable: true, warnings.Add);
        for (var step = 1; step <= 3; step++) store.SaveSmall(step);
        Assert.True(store.OpenNewest()!.IsWhole());
        Assert.Equal([3, 2], store.Steps);
    }

    [Fact]
    public void A_linked_checkpoint_is_read_and_its_removal_removes_the_link_alone()
    {
        using var elsewhere = new TestFolder();
        using (var other = new CheckpointStore(elsewhere.Path, 0, writable: true, warnings.Add)) other.SaveSmall(1);
        using var store = Open(keep: 2);
        Directory.CreateSymbolicLink(folder.At("run", "step-1"), elsewhere.At("step-1"));
        Assert.True(store.OpenNewest()!.IsWhole());
        store.SaveSmall(2);
        store.SaveSmall(3);
        Assert.Equal([3, 2], store.Steps);
        Assert.True(CheckpointStore.OpenFolder(elsewhere.At("step-1")).IsWhole());
    }

    [Fact]
    public void A_disk_that_fills_at_any_write_leaves_what_was_there_and_says_so()
    {
        using (var store = Open())
        {
            store.SaveSmall(2);
            store.SaveSmall(4);
        }

        var failed = 0;
        for (; ; failed++)
        {
            using var store = new CheckpointStore(folder.At("run"), 2, writable: true, warnings.Add) { CreateFile = new FailingDisk(failed).Create };
            try
            {
                // Both a new step and one that is there already.
                store.SaveSmall(failed % 2 == 0 ? 6 : 4, "new");
                break;
            }
            catch (TitanException e)
            {
                Assert.Equal(ExitCode.Data, e.Code);
                Assert.Contains("No space left on device; earlier checkpoints are untouched; make room", e.Message, StringComparison.Ordinal);
                Assert.Equal(["step-2", "step-4"], Entries);
                Assert.Equal("{}", store.Open(4).ReadText("train_state.json"));
                Assert.True(store.OpenNewest()!.IsWhole());
            }
        }

        // Header, tensors, two halves of each text, and a sync for each of six files.
        Assert.True(failed > 15, $"{failed} writes");
        Assert.Empty(warnings);
    }

    [Fact]
    public void A_full_disk_ends_the_save_and_loses_nothing()
    {
        using var store = new CheckpointStore(folder.At("run"), 0, writable: true, warnings.Add) { CreateFile = new FailingDisk(30).Create };
        store.SaveSmall(2);
        var error = Assert.Throws<TitanException>(() => store.SaveSmall(4, new string('x', 200_000)));
        Assert.Equal(ExitCode.Data, error.Code);
        Assert.Contains("No space left on device", error.Message, StringComparison.Ordinal);
        Assert.Equal(["step-2"], Entries);
        Assert.True(store.OpenNewest()!.IsWhole());
    }

    private CheckpointStore Open(int keep = 0, bool writable = true) => new(folder.At("run"), keep, writable, warnings.Add);
}
