using Titan.Abstractions;
using Titan.Host.Plugins;
using Titan.Training.Configuration;
using Titan.Training.Data;
using Titan.Training.Loop;

namespace Titan.Host.Configuration;

/// <summary>
/// Rules that concern more than one key; what concerns one stands at its property. Every command that takes a job goes by them, so <c>check</c> and <c>plan</c> refuse what
/// <c>train</c> would. A rule that reads a key which is wrong already says nothing.
/// </summary>
/// <param name="schema">All keys.</param>
/// <param name="job">The job, with defaults where a key is wrong.</param>
/// <param name="problems">Gets what is wrong.</param>
/// <param name="notes">Gets what the user should know.</param>
/// <param name="ranks">The number of ranks that the job runs on; null where that is not known yet.</param>
internal sealed class JobRules(ConfigSchema schema, LoadedJob job, JobProblems problems, List<string> notes, int? ranks)
{
    private readonly JobConfig config = job.Config;

    public void Check()
    {
        CheckNames();
        CheckParallelism();
        CheckSizes();
        CheckCheckpoints();
        Require("metrics.float8_stats_freq", config.Metrics.Float8StatsFreq == 0 || config.Model.Converters.Any(c => c.StartsWith("quantize.", StringComparison.Ordinal)),
            "has no effect without a quantize converter: add one to model.converters, for example quantize.linear.float8, or leave it at 0", "model.converters");
        NoteWhatIsOff();
    }

    private void CheckNames()
    {
        Collect(() => schema.Models.Check(config.Model.Name, config.Model.Flavor), "model.name", "model.flavor");
        Require("training.dataset", Datasets.Problem(config.Training.Dataset));
        if (config.Validation.Enable) Require("validation.dataset", Datasets.Problem(config.Validation.Dataset));
        Require("model.chat_template", config.Model.ChatTemplate == "auto" || IsChat(config.Training.Dataset) || (config.Validation.Enable && IsChat(config.Validation.Dataset)),
            $"has no effect without conversations: set training.dataset = {Datasets.Chat}, or leave it at auto", "training.dataset", "validation.dataset");
        Require("model.hf_assets_path", !config.Model.HfAssetsPath.EndsWith("tokenizer.model", StringComparison.Ordinal), "expected the folder that holds tokenizer.json, not a tokenizer.model file");
    }

    private static bool IsChat(string dataset) => dataset.Equals(Datasets.Chat, StringComparison.OrdinalIgnoreCase);

    private void CheckCheckpoints()
    {
        var c = config.Checkpoint;
        const string load = "checkpoint.initial_load_in_hf", save = "checkpoint.last_save_in_hf", seed = "checkpoint.create_seed_checkpoint", enable = "checkpoint.enable", only = "checkpoint.load_only";
        Require(only, !c.LoadOnly || !c.CreateSeedCheckpoint, "create_seed_checkpoint saves; drop one of the two", seed);
        Require(load, !c.InitialLoadInHf || c.Enable, "needs checkpoint.enable = true, else the run would start from random weights; to load and save nothing, set checkpoint.load_only too", enable);
        Require(load, !c.InitialLoadInHf || c.InitialLoadModelOnly, "needs checkpoint.initial_load_model_only = true: a Hugging Face folder holds weights and nothing else", "checkpoint.initial_load_model_only");
        Require(load, !c.InitialLoadInHf || !c.CreateSeedCheckpoint, "create_seed_checkpoint saves weights that a seed gives; drop one of the two", seed);
        Require("checkpoint.initial_load_in_hf_quantized", !c.InitialLoadInHfQuantized || c.InitialLoadInHf, "has no effect without checkpoint.initial_load_in_hf = true", load);
        Require(save, !c.LastSaveInHf || c.Enable, "needs checkpoint.enable = true, else nothing is saved", enable);
        Require(save, !c.LastSaveInHf || c.LastSaveModelOnly, "needs checkpoint.last_save_model_only = true: a Hugging Face folder holds weights and nothing else", "checkpoint.last_save_model_only");
        Require(save, !c.LastSaveInHf || !c.LoadOnly, "load_only saves nothing; drop one of the two", only);
    }

    private void CheckParallelism()
    {
        var p = config.Parallelism;
        const string tensor = "parallelism.tensor_parallel_degree", context = "parallelism.context_parallel_degree";
        Require("parallelism.enable_async_tensor_parallel", p.TensorParallelDegree == 1 || !p.EnableAsyncTensorParallel,
            "async tensor parallel is not served yet; use false: the results are the same, the communication is not overlapped with the matmuls", tensor);
        // Upstream's divisor: cp gives each rank two pieces of a sequence, so that causal attention is work for all alike.
        var (divisor, why) = p.ContextParallelDegree == 1
            ? (p.TensorParallelDegree, $"tensor_parallel_degree = {p.TensorParallelDegree}")
            : (2L * p.TensorParallelDegree * p.ContextParallelDegree,
                $"tensor_parallel_degree * 2 * context_parallel_degree = {p.TensorParallelDegree} * 2 * {p.ContextParallelDegree}");
        var multiple = $"expected a multiple of {why}: the sequence is split over its ranks";
        Require("training.seq_len", config.Training.SeqLen % divisor == 0, multiple, tensor, context);
        if (config.Validation.Enable) Require("validation.seq_len", config.Validation.SeqLen % divisor == 0, multiple, tensor, context);
        if (p is { ExpertParallelDegree: 1, ExpertTensorParallelDegree: > 1 }) notes.Add("parallelism.expert_tensor_parallel_degree has no effect: expert_parallel_degree = 1");
        var asked = TrainingRanks.Asked(config);
        foreach (var axis in MeshAxes.All.Where(a => asked[a] == 1))
            foreach (var key in schema.All.Where(k => k.Section == ExportKinds.ParallelismSection && k.Owner == axis.Name() && !KeyType.Same(job.Values[k.FullName], k.Default)))
                notes.Add($"{key.FullName} has no effect: {axis.DegreeKey()[(ExportKinds.ParallelismSection.Length + 1)..]} = 1");
    }

    private void CheckSizes()
    {
        string[] keys = [.. MeshAxes.All.Select(a => a.DegreeKey())];
        if (keys.Any(problems.Has)) return;
        // Where the number of ranks is not known yet, -1 is at least one: what does not fit one fits no number.
        ParallelDimensions? dimensions = null;
        Collect(() => dimensions = ranks is { } known ? TrainingRanks.Resolve(config, known) : TrainingRanks.Least(config), keys);
        if (dimensions is not null) Require("training.global_batch_size", GradientAccumulation.Problem(config.Training, dimensions), "training.local_batch_size");
        var t = config.Training;
        var v = config.Validation;
        Require("training.seq_len", MicroBatch.Problem(t.LocalBatchSize, t.SeqLen), "training.local_batch_size");
        if (v.Enable) Require("validation.seq_len", MicroBatch.Problem(v.LocalBatchSize, v.SeqLen), "validation.local_batch_size");
    }

    /// <summary>Keys of what is switched off.</summary>
    private void NoteWhatIsOff()
    {
        Off("checkpoint", config.Checkpoint.Enable || config.Checkpoint.CreateSeedCheckpoint, "initial_load_path", "load_step", "load_only", "exclude_from_loading");
        Off("validation", config.Validation.Enable);
        Off("compile", config.Compile.Enable);
        if (config.Metrics is { SaveForAllRanks: true, EnableTensorboard: false }) notes.Add("metrics.save_for_all_ranks has no effect: metrics.enable_tensorboard is false");

        // A job file may spell out a whole section; a flag is meant, and so is what asks to load.
        void Off(string section, bool isOn, params string[] meant)
        {
            if (isOn) return;
            foreach (var key in schema.All.Where(k => k.Section == section && k.Name is not ("enable" or "create_seed_checkpoint") && job.Origins.ContainsKey(k.FullName)).DistinctBy(k => k.FullName))
                if (meant.Contains(key.Name) || job.Origins[key.FullName] == CommandLineSource.Origin) notes.Add($"{key.FullName} has no effect: {section}.enable is false");
        }
    }

    private void Require(string key, bool holds, string rule, params string[] reads) => Require(key, holds ? null : rule, reads);

    private void Require(string key, string? broken, params string[] reads)
    {
        if (broken is null || problems.Has(key) || reads.Any(problems.Has)) return;
        problems.Add(key, job.Origins.GetValueOrDefault(key, "default"), KeyType.ShowShort(job.Values[key]), broken);
    }

    private void Collect(Action check, params string[] reads)
    {
        if (!reads.Any(problems.Has)) problems.Collect(check);
    }
}
