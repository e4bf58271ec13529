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

        NoEffect("parallelism.pipeline_parallel_schedule", "parallelism.pipeline_parallel_degree");
        NoEffect("parallelism.pipeline_parallel_microbatch_size", "parallelism.pipeline_parallel_degree");
        NoEffect("parallelism.enable_async_tensor_parallel", "parallelism.tensor_parallel_degree");
        NoEffect("parallelism.disable_loss_parallel", "parallelism.tensor_parallel_degree");

        if (!(bool)values["checkpoint.enable"]!)
        {
            foreach (var key in new[] { "checkpoint.initial_load_path", "checkpoint.load_step", "checkpoint.load_only", "checkpoint.exclude_from_loading" })
                if (origins.ContainsKey(key)) notes.Add($"{key} has no effect: checkpoint.enable is false");
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
