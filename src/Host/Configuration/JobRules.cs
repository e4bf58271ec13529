namespace Titan.Host.Configuration;

/// <summary>Rules that concern more than a type: values that exclude each other, and keys that have no effect.</summary>
internal static class JobRules
{
    private static readonly string[] Components = ["model", "loss"];
    private static readonly string[] CheckpointParts = ["model", "optimizer", "lr_scheduler", "dataloader", "train_state"];

    public static void Check(ConfigSchema schema, Dictionary<string, object?> values, Dictionary<string, string> origins, List<string> errors, List<string> notes)
    {
        if ((int)values["checkpoint.keep_latest_k"]! is 1 or < 0)
            Error("checkpoint.keep_latest_k", "expected 0 (keep all) or 2 and more: with 1, a save that fails would leave no checkpoint");
        if ((int)values["checkpoint.load_step"]! < -1) Error("checkpoint.load_step", "expected a step, or -1 for the newest");
        if ((bool)values["checkpoint.create_seed_checkpoint"]! && (bool)values["checkpoint.load_only"]!)
            Error("checkpoint.load_only", "create_seed_checkpoint saves; drop one of the two");
        if ((int)values["validation.steps"]! is 0 or < -1) Error("validation.steps", "expected 1 or more, or -1 for the whole set");
        if ((string)values["activation_checkpoint.mode"]! == "memory_budget")
            Error("activation_checkpoint.mode", "memory_budget is not supported yet; use selective, full or none");
        if ((string)values["activation_checkpoint.selective_ac_option"]! is var option && option != "op" && !uint.TryParse(option, out _))
            Error("activation_checkpoint.selective_ac_option", "expected a number n (every n-th block) or op");
        if (values["lr_scheduler.decay_ratio"] is double ratio && ratio is < 0 or > 1) Error("lr_scheduler.decay_ratio", "expected a number from 0 to 1");
        if ((int)values["training.global_batch_size"]! == 0) Error("training.global_batch_size", "expected 1 or more, or -1");
        foreach (var component in (IReadOnlyList<string>)values["compile.components"]!)
            if (!Components.Contains(component)) errors.Add($"{Origin("compile.components")}: compile.components: '{component}' is not one of: model, loss");
        foreach (var part in (IReadOnlyList<string>)values["checkpoint.exclude_from_loading"]!)
            if (!CheckpointParts.Contains(part)) errors.Add($"{Origin("checkpoint.exclude_from_loading")}: checkpoint.exclude_from_loading: '{part}' is not one of: {string.Join(", ", CheckpointParts)}");
        if ((int)values["metrics.float8_stats_freq"]! > 0 && !((IReadOnlyList<string>)values["model.converters"]!).Any(c => c.StartsWith("quantize.linear.", StringComparison.Ordinal)))
            Error("metrics.float8_stats_freq", "has no effect without a quantize.linear converter: add one to model.converters, for example quantize.linear.float8, or leave it at 0");
        if (((string)values["model.hf_assets_path"]!).EndsWith("tokenizer.model", StringComparison.Ordinal))
            Error("model.hf_assets_path", "expected the folder that holds tokenizer.json, not a tokenizer.model file");

        CheckParallelism();
        NoEffect("parallelism.pipeline_parallel_schedule", "parallelism.pipeline_parallel_degree");
        NoEffect("parallelism.pipeline_parallel_microbatch_size", "parallelism.pipeline_parallel_degree");
        NoEffect("parallelism.enable_async_tensor_parallel", "parallelism.tensor_parallel_degree");
        NoEffect("parallelism.disable_loss_parallel", "parallelism.tensor_parallel_degree");

        if (!(bool)values["checkpoint.enable"]!)
        {
            foreach (var key in new[] { "checkpoint.initial_load_path", "checkpoint.load_step", "checkpoint.load_only", "checkpoint.exclude_from_loading" })
                if (origins.ContainsKey(key)) notes.Add($"{key} has no effect: checkpoint.enable is false");
        }

        // Whether the degrees multiply to the number of ranks is known only where the ranks are: a job for many is checked on a machine of one.
        void CheckParallelism()
        {
            int Degree(string key) => (int)values[$"parallelism.{key}"]!;
            if (Degree("data_parallel_shard_degree") is 0 or < -1) Error("parallelism.data_parallel_shard_degree", "expected 1 or more, or -1 for all ranks that are left");
            if (Degree("context_parallel_degree") > 1)
                Error("parallelism.context_parallel_degree", "context parallel is not served yet; use 1, and tensor_parallel_degree, which also splits the sequence between layers");
            if (Degree("pipeline_parallel_degree") > 1)
                Error("parallelism.pipeline_parallel_degree", "pipeline parallel is not served yet; use 1, and data_parallel_shard_degree or tensor_parallel_degree to spread a model over more ranks");
            var tensor = Degree("tensor_parallel_degree");
            if (tensor <= 1) return;
            if ((bool)values["parallelism.enable_async_tensor_parallel"]!)
                Error("parallelism.enable_async_tensor_parallel", "async tensor parallel is not served yet; use false: the results are the same, the communication is not overlapped with the matmuls");
            if ((int)values["training.seq_len"]! % tensor != 0) Error("training.seq_len", $"expected a multiple of tensor_parallel_degree = {tensor}: the sequence is split over its ranks");
            if ((bool)values["validation.enable"]! && (int)values["validation.seq_len"]! % tensor != 0)
                Error("validation.seq_len", $"expected a multiple of tensor_parallel_degree = {tensor}: the sequence is split over its ranks");
        }

        void Error(string key, string rule) => errors.Add($"{Origin(key)}: {key} = {ValueConversion.Show(values[key])}: {rule}");

        void NoEffect(string key, string degree)
        {
            // A job file may spell out a default.
            if (!ValueConversion.SameValue(values[key], schema.Find(key)[0].Default) && (int)values[degree]! == 1) notes.Add($"{key} has no effect: {degree} = 1");
        }

        string Origin(string key) => origins.GetValueOrDefault(key, "default");
    }
}
