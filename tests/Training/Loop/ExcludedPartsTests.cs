using System.Text.Json;
using Titan.Training.Optimization;

namespace Titan.Training.Tests.Loop;

/// <summary>Each part that is not loaded starts over by itself; the others go on, and no checkpoint that is there is lost.</summary>
public sealed class ExcludedPartsTests : TinyRuns
{
    [Fact]
    public void Each_part_starts_over_alone_goes_on_from_its_own_checkpoint_and_leaves_every_one_that_was_there()
    {
        var expected = Run(Full, "run");
        var rates = Rates("run");
        var there = Snapshot("run").Select(f => (Path.GetFileName(f.Key), f.Value)).ToHashSet();
        foreach (var part in new[] { "model", "optimizer", "lr_scheduler", "dataloader", "train_state" })
        {
            var from = part == "train_state" ? 0 : 4;
            var excluding = Full with { LoadStep = 4, ExcludeFromLoading = [part] };
            foreach (var copy in new[] { "whole", "parts" }) Copy("run", $"{part}-{copy}");
            var whole = Run(excluding, $"{part}-whole");
            var parts = Run(excluding, $"{part}-parts", stop: from + 2).Concat(Run(Full, $"{part}-parts")).ToDictionary();
            Assert.Equal(Enumerable.Range(from + 1, Steps - from).Select(s => (long)s), whole.Keys);
            Assert.Equal(whole, parts);
            Assert.True(there.IsSubsetOf(Snapshot($"{part}-whole").Select(f => (Path.GetFileName(f.Key), f.Value))), part);

            // The same weights and the same data give the same first loss; whatever differs in the update shows in the second.
            if (part is "model" or "dataloader") Assert.NotEqual(expected[5], whole[from + 1]);
            else Assert.Equal(expected[5], whole[from + 1]);
            if (part is "optimizer" or "lr_scheduler") Assert.NotEqual(expected[6], whole[6]);
            var state = State($"{part}-parts", from + 2);
            Assert.Equal(part == "optimizer" ? 2 : 6, state.GetProperty("OptimizerSteps").GetInt64());
            Assert.Equal(part == "lr_scheduler" ? 2 : 6, state.GetProperty("SchedulerSteps").GetInt64());
            Assert.Equal(part == "train_state" ? 4 : 0, state.GetProperty("EarlierSteps").GetInt64());
            Assert.Equal((from + 2) * 2 * 16, state.GetProperty("TokensSeen").GetInt64());
            Assert.Equal(part == "dataloader", Data($"{part}-parts", from + 2) == Data("run", 2));
            Assert.Equal(part != "dataloader", Data($"{part}-parts", from + 2) == Data("run", 6));

            // Wherever the schedule is, it ends with the run: after 4 steps that are left, or 4 that are behind and 8 that come.
            var schedule = new LrSchedule(part switch { "lr_scheduler" => 4, "train_state" => 12, _ => 8 }, 2, null, "linear", 0, _ => { });
            var at = part == "lr_scheduler" ? 0 : 4;
            Assert.Equal(whole.Keys.Select((_, i) => 8e-4 * schedule.Factor(at + i)), Rates($"{part}-whole").TakeLast(whole.Count), (a, b) => Math.Abs(a - b) < 1e-12);
            Assert.Equal(Rates($"{part}-whole").TakeLast(whole.Count), Rates($"{part}-parts").TakeLast(whole.Count));
        }

        Assert.Equal(8, rates.Count);
    }

    [Fact]
    public void Counting_anew_in_a_folder_with_checkpoints_sets_them_aside_at_the_first_save_and_says_so()
    {
        _ = Run(Full, "run", stop: 4);
        var before = Snapshot("run");
        var excluding = Full with { ExcludeFromLoading = ["train_state"] };
        Assert.Empty(Run(excluding, "run", stop: 0));
        Assert.Equal(before, Snapshot("run"));
        Assert.Empty(Warnings);
        _ = Run(excluding, "run", stop: 2);
        Assert.Contains("checkpoint.exclude_from_loading train_state counts the steps anew: training leaves step-4, step-2, which become step-N.superseded", Warnings[0], StringComparison.Ordinal);
        Assert.Equal(["step-2", "step-2.superseded", "step-4.superseded"], Folders("run"));
    }

    private void Copy(string from, string to)
    {
        foreach (var file in Directory.EnumerateFiles(Folder.At(from), "*", SearchOption.AllDirectories).Where(f => !f.EndsWith(".lock", StringComparison.Ordinal)))
        {
            var path = Path.Combine(Folder.At(to), Path.GetRelativePath(Folder.At(from), file));
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.Copy(file, path);
        }
    }

    private JsonElement State(string run, int step) => JsonDocument.Parse(File.ReadAllText(At(run, $"step-{step}", "train_state.json"))).RootElement;

    private string Data(string run, int step) => File.ReadAllText(At(run, $"step-{step}", "dataloader.json"));

    /// <summary>The learning rates of a run's steps, as it reported them.</summary>
    private List<double> Rates(string run) => [.. File.ReadLines(Folder.At(run, "metrics.jsonl")).Select(l => JsonDocument.Parse(l).RootElement.GetProperty("lr").GetDouble())];
}
