using Titan.Abstractions;
using Titan.Quantization.Matmuls;
using Titan.Training.Checkpoints;
using Titan.Training.Configuration;
using Titan.Training.Loop;
using Titan.Training.Models;
using Titan.Models.Llama3;
using static TorchSharp.torch;

namespace Titan.Training.Tests.Loop;

/// <summary>The keys of <c>[checkpoint]</c> on a run of a tiny model.</summary>
public sealed class CheckpointingTests : TinyRuns
{
    [Theory]
    [InlineData(false), InlineData(true)]
    public void A_run_that_is_stopped_and_resumed_again_and_again_has_the_losses_of_one_that_was_not(bool inFloat8)
    {
        IsFloat8 = inFloat8;
        var expected = Run(new CheckpointSection(), "whole");
        var actual = new SortedDictionary<long, double>();
        foreach (var stop in new[] { 1, 3, 4, 7, Steps }) Add(Run(Full, "parts", stop));
        Assert.Equal(expected, actual);
        Assert.Empty(Warnings);

        void Add(SortedDictionary<long, double> part)
        {
            foreach (var (step, loss) in part)
            {
                Assert.DoesNotContain(step, actual.Keys);
                actual[step] = loss;
            }
        }
    }

    [Fact]
    public void A_damaged_newest_checkpoint_costs_its_steps_and_no_bit_more()
    {
        var expected = Run(Full, "run", stop: 6);
        Assert.Equal(["step-2", "step-4", "step-6"], Folders("run"));
        File.WriteAllBytes(At("run", "step-6", "optimizer.safetensors"), File.ReadAllBytes(At("run", "step-6", "optimizer.safetensors"))[..^1]);
        var again = Run(Full, "run", stop: 6);
        Assert.Equal([5, 6], again.Keys);
        Assert.Equal(expected[5], again[5]);
        Assert.Equal(expected[6], again[6]);
        Assert.Contains("falling back to step-4: 2 steps are lost", Assert.Single(Warnings), StringComparison.Ordinal);
        Assert.Equal(["step-2", "step-4", "step-6", "step-6.corrupt"], Folders("run"));
    }

    [Fact]
    public void Load_step_goes_back_and_a_step_that_is_not_there_is_named_with_those_that_are()
    {
        var expected = Run(Full, "run");
        Assert.Contains("checkpoint.load_step = 3", Refused(Full with { LoadStep = 3 }, "run"), StringComparison.Ordinal);
        Assert.Contains("it has: 8, 6, 4, 2", Refused(Full with { LoadStep = 3 }, "run"), StringComparison.Ordinal);
        Assert.Empty(Warnings);
        var again = Run(Full with { LoadStep = 4 }, "run", stop: 6);
        Assert.Equal(expected.Where(l => l.Key is 5 or 6), again);
    }

    [Fact]
    public void Going_back_to_a_step_sets_the_later_ones_aside_at_the_first_save_and_a_plain_rerun_goes_on_from_there()
    {
        _ = Run(Full, "run");
        var left = Snapshot("run");
        // Nothing was trained: nothing is saved, and nothing is set aside.
        Assert.Empty(Run(Full with { LoadStep = 4 }, "run", stop: 0));
        Assert.Equal(left, Snapshot("run"));
        Assert.Empty(Warnings);

        var job = Job("run", Full with { LoadStep = 4 });
        _ = Run(Full, "run", stop: 5, config: job with { Optimizer = job.Optimizer with { Lr = 1e-2 } });
        Assert.Equal(["step-2", "step-4", "step-5", "step-6.superseded", "step-8.superseded"], Folders("run"));
        Assert.Contains("checkpoint.load_step = 4: training leaves step-8, step-6, which become step-N.superseded when this run first saves", Warnings[0], StringComparison.Ordinal);
        Assert.Contains("training went back to step 4, and the later checkpoints", Warnings[^1], StringComparison.Ordinal);
        Assert.Contains("were renamed to step-6.superseded, step-8.superseded", Warnings[^1], StringComparison.Ordinal);
        Assert.Equal(left.Where(f => f.Key.Contains("step-8", StringComparison.Ordinal)).Select(f => f.Value), Snapshot("run").Where(f => f.Key.Contains("step-8", StringComparison.Ordinal)).Select(f => f.Value));

        Warnings.Clear();
        Assert.Equal([6, 7, 8], Run(Full, "run").Keys);
        Assert.Empty(Warnings);
        Assert.Equal(["step-2", "step-4", "step-5", "step-6", "step-6.superseded", "step-8", "step-8.superseded"], Folders("run"));
    }

    [Fact]
    public void The_latest_k_checkpoints_stay_and_the_first_step_is_saved_when_asked_for()
    {
        _ = Run(Full with { KeepLatestK = 2, EnableFirstStepCheckpoint = true }, "run", stop: 3);
        Assert.Equal(["step-2", "step-3"], Folders("run"));
        _ = Run(Full with { KeepLatestK = 0, EnableFirstStepCheckpoint = true }, "all");
        Assert.Equal(["step-1", "step-2", "step-4", "step-6", "step-8"], Folders("all"));
    }

    [Theory]
    [InlineData("float32", ScalarType.Float32)]
    [InlineData("bfloat16", ScalarType.BFloat16)]
    [InlineData("float16", ScalarType.Float16)]
    public void The_last_checkpoint_holds_the_weights_alone_in_the_dtype_to_export(string name, ScalarType type)
    {
        _ = Run(Full with { LastSaveModelOnly = true, ExportDtype = name }, "run");
        var last = CheckpointStore.OpenFolder(At("run", "step-8"));
        Assert.Equal("model.safetensors", Assert.Single(last.Manifest.Files).Name);
        Assert.All(last.Tensors("model.safetensors").Values, e => Assert.Equal(type, e.Type));
        Assert.True(CheckpointStore.OpenFolder(At("run", "step-6")).Has("optimizer.safetensors"));
        var error = Assert.Throws<TitanException>(() => Run(Full, "run"));
        Assert.Equal(ExitCode.Usage, error.Code);
        Assert.Contains("is the end of a finished run of 8 steps", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Weights_alone_in_the_middle_of_a_run_cannot_be_resumed_but_an_earlier_step_can()
    {
        _ = Run(Full with { LastSaveModelOnly = true }, "run", config: Job("run", Full with { LastSaveModelOnly = true }) with { Training = Training with { Steps = 5 } });
        Assert.Contains("holds the weights alone and cannot be resumed", Refused(Full, "run"), StringComparison.Ordinal);
        Assert.Equal([5, 6, 7, 8], Run(Full with { LoadStep = 4 }, "run").Keys);
    }

    [Fact]
    public void Initial_load_path_gives_the_weights_or_everything_and_yields_to_the_runs_own_checkpoint()
    {
        var expected = Run(Full, "first");
        var everything = Full with { InitialLoadPath = At("first", "step-4"), InitialLoadModelOnly = false };
        Assert.Equal(expected.Where(l => l.Key > 4), Run(everything, "second"));

        var weights = Full with { InitialLoadPath = At("first", "step-4") };
        var anew = Run(weights, "third", stop: 2);
        Assert.Equal([1, 2], anew.Keys);
        var same = Run(Full with { LoadStep = 4, LoadOnly = true, ExcludeFromLoading = ["optimizer", "dataloader", "train_state"] }, "first", stop: 2);
        Assert.Equal(anew[1], same[1]);
        Assert.NotEqual(expected[1], anew[1]);
        Assert.Empty(Warnings);

        Assert.Equal([3], Run(weights, "third", stop: 3).Keys);
        Assert.Contains("checkpoint.initial_load_path is not used", Assert.Single(Warnings), StringComparison.Ordinal);
    }

    [Fact]
    public void An_initial_load_path_that_is_none_is_refused_with_what_was_expected()
    {
        Folder.Write("upstream/.metadata", "x");
        Folder.Write("upstream/__0_0.distcp", "x");
        foreach (var (path, message) in new[] { ("none", "does not exist"), ("upstream/.metadata", "is a file"), ("upstream", "but holds __0_0.distcp") })
        {
            var error = Refused(Full with { InitialLoadPath = Folder.At(path) }, "run");
            Assert.Contains(message, error, StringComparison.Ordinal);
            Assert.Contains("step-N folder that this program saved", error, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_seed_checkpoint_gives_every_run_the_same_start()
    {
        var expected = Run(new CheckpointSection(), "whole");
        Assert.Empty(Run(new CheckpointSection { CreateSeedCheckpoint = true }, "run"));
        Assert.Equal(["step-0"], Folders("run"));
        Assert.Equal(expected, Run(Full, "run", config: Job("run", Full) with { Debug = new DebugSection { Seed = 99 } }));
    }

    [Fact]
    public void With_load_only_a_run_goes_on_and_saves_nothing_even_beside_the_run_that_saves()
    {
        var expected = Run(Full, "run", stop: 4);
        using var saving = Create(Job("run", Full));
        var before = Snapshot("run");
        Assert.Equal([5, 6, 7, 8], Run(Full with { LoadOnly = true }, "run").Keys);
        Assert.Equal(before, Snapshot("run"));
        Assert.Equal(4, expected.Count);
    }

    [Fact]
    public void Two_runs_in_one_folder_are_one_too_many()
    {
        using var first = Create(Job("run", Full));
        var error = Assert.Throws<TitanException>(() => Create(Job("run", Full)));
        Assert.Equal(ExitCode.Data, error.Code);
        Assert.Contains("is in use by another run", error.Message, StringComparison.Ordinal);
        first.Run(CancellationToken.None);
    }

    [Fact]
    public void A_checkpoint_of_another_flavor_is_refused_and_stays()
    {
        _ = Run(Full, "run", stop: 4);
        var before = Snapshot("run");
        foreach (var (flavor, what) in new[] { ("wide", "of another shape (tok_embeddings.weight is [2048, 32], expected [2048, 64]"), ("deep", "missing (layers.1.") })
        {
            var error = Refused(Full, "run", Job("run", Full) with { Model = new ModelSection { Flavor = flavor } });
            Assert.Contains("does not fit this model", error, StringComparison.Ordinal);
            Assert.Contains(what, error, StringComparison.Ordinal);
            Assert.Contains("use the model.flavor that it was saved with", error, StringComparison.Ordinal);
        }

        Assert.Equal(before, Snapshot("run"));
    }

    [Fact]
    public void A_checkpoint_of_another_flavor_whose_shapes_fit_is_refused_and_its_weights_alone_are_said_to_be_of_another()
    {
        _ = Run(Full, "run", stop: 4);
        var before = Snapshot("run");
        var other = Job("run", Full) with { Model = new ModelSection { Flavor = "turned" } };
        Assert.Contains("is of model llama3/tiny, this run trains llama3/turned: use the model.flavor that it was saved with", Refused(Full, "run", other), StringComparison.Ordinal);
        Assert.Contains("is of model llama3/tiny", Refused(Full, "new", other with
        {
            Job = new JobSection { DumpFolder = Folder.At("new") }, Checkpoint = Full with { InitialLoadPath = At("run", "step-4"), InitialLoadModelOnly = false },
        }), StringComparison.Ordinal);
        Assert.Equal(before, Snapshot("run"));
        Assert.Empty(Warnings);

        Assert.Equal([1], Run(Full, "weights", stop: 1, config: other with
        {
            Job = new JobSection { DumpFolder = Folder.At("weights") }, Checkpoint = Full with { InitialLoadPath = At("run", "step-4") },
        }).Keys);
        Assert.Contains("its weights have the same shapes and are used", Assert.Single(Warnings), StringComparison.Ordinal);
    }

    [Fact]
    public void Changed_data_is_refused_until_it_is_said_that_they_shall_start_over()
    {
        var text = Folder.Write("data/text.txt", string.Join("\n\n", Enumerable.Range(0, 200).Select(i => $"The doctor has {i} green lamps.")));
        var job = Job("run", Full) with { Training = Training with { Dataset = "text", DatasetPath = Folder.At("data") } };
        _ = Run(Full, "run", stop: 4, config: job);
        File.AppendAllText(text, "\n\nOne more.");
        Assert.Contains("the files of dataset 'text' changed since; start the data over with --checkpoint.exclude_from_loading dataloader", Refused(Full, "run", job), StringComparison.Ordinal);
        var excluding = job with { Checkpoint = Full with { ExcludeFromLoading = ["dataloader"] } };
        Assert.Equal([5, 6, 7, 8], Run(Full, "run", config: excluding).Keys);
    }

    [Fact]
    public void Data_and_tokenizers_that_do_not_fit_are_refused_before_the_first_step()
    {
        Folder.Write("tokenizer/tokenizer.json", Tokenizers.TokenizerFile.Make(["h e"], ["<|end_of_text|>", .. Enumerable.Range(0, 2000).Select(i => $"<{i}>")]).ToJsonString());
        Assert.Contains("use a tokenizer or a flavor that fits", Refused(Full, "run", Job("run", Full) with { Model = new ModelSection { Flavor = "tiny", HfAssetsPath = Folder.At("tokenizer") } }), StringComparison.Ordinal);
        Assert.Contains("does not exist", Refused(Full, "run", Job("run", Full) with { Validation = new ValidationSection { Enable = true, Dataset = "text", DatasetPath = Folder.At("none") } }), StringComparison.Ordinal);
        Folder.Write("endless/tokenizer.json", Tokenizers.TokenizerFile.Make(["h e"], "<end>").ToJsonString());
        Assert.Contains("names no token that ends a document", Refused(Full, "run", Job("run", Full) with { Model = new ModelSection { Flavor = "tiny", HfAssetsPath = Folder.At("endless") } }), StringComparison.Ordinal);
    }
}
