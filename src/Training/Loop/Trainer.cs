using System.Diagnostics;
using Titan.Abstractions;
using Titan.Distributed;
using Titan.Distributed.Collectives;
using Titan.Models;
using Titan.Quantization.Linear;
using Titan.Training.Adapters;
using Titan.Training.Chat;
using Titan.Training.Checkpoints;
using Titan.Training.Configuration;
using Titan.Training.Data;
using Titan.Training.Losses;
using Titan.Training.Metrics;
using Titan.Training.Models;
using Titan.Training.Optimization;
using Titan.Training.Parallel;
using Titan.Training.Tokenizers;
using static TorchSharp.torch;

namespace Titan.Training.Loop;

/// <summary>
/// Trains a job. Construction builds everything and checks that the pieces fit; <see cref="Run"/> trains. The order is that of upstream: model, converters, weights,
/// optimizer, checkpoint, loop.
/// </summary>
public sealed class Trainer : IDisposable
{
    private readonly TrainerDependencies given;
    private readonly JobConfig config;
    private readonly Device device;
    private readonly Func<DeviceMemory>? deviceMemory;
    private readonly LanguageModel model;
    private readonly ModelInputs inputs;
    private readonly IReadOnlyList<IStepHooks> hooks;
    private readonly IReadOnlyList<IMetricSource> sources;
    private readonly TrainingRanks ranks;
    private readonly AppliedParallelisms parallelisms;
    private readonly CommunicationReport? communication;
    private readonly IReadOnlyList<ModelParameter> parameters;
    private readonly FusedAdam optimizer;
    private LrSchedule? schedule;
    private readonly HuggingFaceTokenizer tokenizer;
    private readonly DataLoader data;
    private readonly LeakWatch leaks;
    private readonly HashSet<(string Section, long Count)> told = [];
    private readonly RunCheckpoints checkpoints;
    private readonly Validator? validator;
    private readonly MetricsSinks sinks;
    private readonly Float8Stats float8Stats;
    private readonly IReadOnlyList<IModelConversion> conversions;
    private readonly ForwardBackward pass;
    private readonly int accumulation;
    private readonly ModelCounts counts;
    private readonly Stopwatch watch = Stopwatch.StartNew();
    private long step;
    private long firstStep;
    private long scheduleAhead;
    private long tokensSeen;
    private long stepsSinceLog;
    private double dataSeconds;
    private (long Tokens, double Seconds) tokenised;
    private readonly CommunicationInterval? talk;

    /// <summary>Builds everything.</summary>
    /// <exception cref="TitanException">When a piece is missing or does not fit.</exception>
    public Trainer(TrainerDependencies given)
    {
        this.given = given;
        config = given.Config;
        device = given.Device.Device;
        deviceMemory = DeviceMemory.ReaderOf(device);
        leaks = new LeakWatch(given.Warn);
        ranks = given.Ranks;
        var dimensions = ranks.Dimensions;
        accumulation = GradientAccumulation.Steps(config.Training, dimensions);
        tokenizer = HuggingFaceTokenizer.Load(TokenizerFolder(config.Model.HfAssetsPath));
        tokenizer.RequireDocumentEnd(config.Model.HfAssetsPath, given.Warn);
        data = Open("training", Datasets.Open(config.Training.Dataset, config.Training.DatasetPath), config.Training.LocalBatchSize, config.Training.SeqLen, infinite: true);
        // A tiny corpus repeats all the time: warn at epochs 1, 2, 4, 8, ...
        data.Repeated += epoch =>
        {
            if (long.IsPow2(epoch)) given.Warn($"the dataset was read to its end and starts over (epoch {epoch + 1})");
        };

        // Before the model is allocated: whatever can be refused cheaply.
        var vocabulary = given.Models.Find(config.Model.Name, config.Model.Flavor).Counts.Vocabulary;
        if (tokenizer.VocabularySize > vocabulary)
            throw new TitanException(ExitCode.Data,
                $"the tokenizer in '{config.Model.HfAssetsPath}' has {tokenizer.VocabularySize} entries, model {config.Model.Name}/{config.Model.Flavor} only {vocabulary}; use a tokenizer or a flavor that fits");
        var heldOut = config.Validation.Enable ? Datasets.Open(config.Validation.Dataset, config.Validation.DatasetPath, "validation") : null;
        Seed = config.Debug.Seed ?? ranks.OfFirst(Random.Shared.NextInt64());
        (model, var flavor, conversions) = ModelBuilder.Build(config, given.Models, given.Converters, dimensions, META, given.Device.Capability, seed: Seed);
        ModelBuilder.ThrowIfNothingConverted(Reports, given.Converters);
        parallelisms = new AppliedParallelisms(model, config, ranks.Mesh, given.Parallelisms, device);
        if (ranks.World.Size > 1) (communication, talk) = (new CommunicationReport(StepPlan.Of(parallelisms, conversions)), new CommunicationInterval());
        var huggingFace = config.Checkpoint is { Enable: true } and ({ InitialLoadInHf: true } or { LastSaveInHf: true })
            ? new HuggingFaceCheckpoints(config, ModelBuilder.HuggingFaceOf(config.Model, flavor), TokenizerFolder(config.Model.HfAssetsPath), ranks.IsMain ? given.Warn : _ => { }, ranks.World,
                folder => given.Models.FlavorOf(config.Model.Name, folder))
            {
                Merged = Adapters.SelectMany(a => new[] { a.A, a.B }).ToHashSet(),
            }
            : null;
        var loaded = huggingFace?.Prepare(model);
        if (loaded is not null) given.Log($"The weights in {huggingFace!.Initial.Root} fit {config.Model.Name} {config.Model.Flavor}: {huggingFace.Initial.Bytes / 1e6:N1} MB, of which each rank reads its part");
        ModelParameters.Materialize(model, device);
        (hooks, sources) = (ModulesWith.Interface<IStepHooks>(model), ModulesWith.Interface<IMetricSource>(model));
        inputs = new ModelInputs(model, tokenizer.EosId, parallelisms.VocabularyGroup?.Size ?? 1);
        counts = flavor.Counts;
        model.InitializeWeights(Seed, loaded);

        parameters = ModelParameters.Of(model);
        var named = parameters.Where(p => p.Parameter.requires_grad).Select(p => (p.Fqn, p.Parameter)).ToList();
        var o = config.Optimizer;
        optimizer = new FusedAdam(named, o.Beta1, o.Beta2, o.Eps, o.WeightDecay, o.Name == "AdamW") { WantedAmaxes = KnownAmaxes.WantedIn(model) };
        var loss = CrossEntropy.For(config.Compile, parallelisms.VocabularyGroup);
        pass = new ForwardBackward(inputs, loss, parallelisms.AfterBackward);
        validator = heldOut is null
            ? null
            : new Validator(config.Validation, () => Open("validation", heldOut, config.Validation.LocalBatchSize, config.Validation.SeqLen, config.Validation.Steps > 0), loss,
                batch => parallelisms.ShareOf(batch, device), ranks);
        sinks = RunFolder.OpenSinks(config, ranks, given.Warn);
        float8Stats = new Float8Stats(config.Metrics.Float8StatsFreq, conversions);
        checkpoints = new RunCheckpoints(config, parameters, optimizer, given.Metadata, given.Warn, ranks.World, given.Log)
        {
            Buffers = ModelParameters.Buffers(model), Added = model.Added.Keys.ToHashSet(), Adapters = AdaptersOf(flavor), HuggingFace = huggingFace,
        };
    }

    /// <summary>What the converters did.</summary>
    public IReadOnlyList<ConversionReport> Reports => [.. conversions.Select(c => c.Report)];

    /// <summary>The seed of the weights.</summary>
    public long Seed { get; }

    /// <summary>The loss of the last step.</summary>
    public double LastLoss { get; private set; }

    /// <summary>Called with every step and its loss.</summary>
    public event Action<long, double>? Stepped;

    /// <summary>Trains to the last step, or until a stop is asked for; then it saves and returns.</summary>
    public void Run(CancellationToken stop)
    {
        if (ranks.AnyAsks(stop))
        {
            given.Log("Stopped before the first step as asked; there was nothing to save");
            return;
        }

        Resume();
        if (config.Checkpoint.CreateSeedCheckpoint)
        {
            checkpoints.SaveSeed();
            given.Log("Saved the initial weights as step-0");
            return;
        }

        Announce();
        var last = config.Training.Steps;
        watch.Restart();
        var began = Stopwatch.StartNew();
        var first = firstStep = step;
        while (step < last)
        {
            var before = data.Save();
            if (!Step(stop))
            {
                // The gradients of an unfinished step are dropped; its data will be read again.
                if (config.Checkpoint.Enable) checkpoints.Save(step, tokensSeen, before, isLast: false);
                given.Log($"Stopped at step {step} as asked; {(config.Checkpoint is { Enable: true, LoadOnly: false } ? "the checkpoint is saved"
                    : $"checkpoint.{(config.Checkpoint.Enable ? "load_only is true" : "enable is false")}, so nothing was saved")}");
                return;
            }

            // First what the step has cost: validation reads files of its own.
            if (config.Checkpoint.Enable) checkpoints.SaveIfDue(step, tokensSeen, data.Save(), step == last);
            if (validator is not null && (step == 1 || step % config.Validation.Freq == 0)) Validate(stop);
            if (step % config.Training.GcFreq == 0) Collect();
            given.Progress?.Invoke(step, last, (last - step) * began.Elapsed / (step - first));
        }

        given.Log("Training completed");
    }

    /// <summary>Tokens that a step reads, whether their labels count or not.</summary>
    private long TokensPerStep => config.Training.SeqLen * (long)config.Training.LocalBatchSize * ranks.Dimensions.Batch * accumulation;

    /// <summary>The module tree, a line each.</summary>
    public string Describe() => string.Join(Environment.NewLine, model.named_modules().Select(m => $"{m.name}: {m.module.GetName()}").Order(StringComparer.Ordinal));

    /// <inheritdoc />
    public void Dispose()
    {
        sinks.Dispose();
        checkpoints.Dispose();
        data.Dispose();
        model.Dispose();
    }

    /// <summary>Where a configured tokenizer is; the shipped one is also found from outside the repository.</summary>
    private static string TokenizerFolder(string path) =>
        !Directory.Exists(path) && path == new ModelSection().HfAssetsPath ? Path.Combine(SampleAssets.Root, "tokenizer") : path;

    private IReadOnlyList<LowRankAdapter> Adapters => [.. conversions.SelectMany(c => c.Adapters)];

    private AdapterExport? AdaptersOf(ModelFlavor flavor)
    {
        if (Adapters.Count == 0 || !config.Checkpoint.Enable) return null;
        var baseModel = config.Checkpoint.InitialLoadInHf ? config.Checkpoint.InitialLoadPath ?? config.Model.HfAssetsPath : null;
        return new AdapterExport(Adapters, parameters, flavor.HuggingFace?.Invoke(), baseModel, ranks.World, given.Warn);
    }

    private DataLoader Open(string section, Corpus corpus, int batch, int length, bool infinite)
    {
        IDocumentFormat format = corpus.IsChat ? new ChatDocuments(tokenizer, ChatTemplate.Find(config.Model.ChatTemplate, tokenizer)) : new PlainDocuments(tokenizer);
        var loader = new DataLoader(corpus, format, ranks.BatchRank, ranks.Dimensions.Batch, batch, length, infinite);
        // A set that is read again and again has the same ones each time.
        loader.Cut += count =>
        {
            if (long.IsPow2(count) && told.Add((section, count)))
                given.Warn($"{count} conversation{(count == 1 ? " is" : "s are")} longer than {section}.seq_len = {length} and cut at {(count == 1 ? "its" : "their")} end; raise it to keep {(count == 1 ? "it" : "them")} whole");
        };
        return loader;
    }

    private void Resume()
    {
        var loaded = checkpoints.Load(data);
        WeightsChanged();
        (step, tokensSeen) = (loaded?.Step ?? 0, loaded?.TokensSeen ?? 0);
        // Where the schedule and the steps were counted apart, it ends with the run all the same.
        scheduleAhead = (loaded?.SchedulerSteps ?? 0) - step;
        var s = config.LrScheduler;
        schedule = new LrSchedule(s.TotalSteps ?? Math.Max(1, config.Training.Steps + scheduleAhead), s.WarmupSteps, s.DecayRatio, s.DecayType, s.MinLrFactor, given.Warn);
        ParameterAgreement.Check(parameters, ranks.World, fqn => model.Added.GetValueOrDefault(fqn)?.Report.Converter);
        if (loaded is not null) given.Log($"Loaded the {loaded.What} {loaded.Folder}{(loaded.Without.Count > 0 ? $" without {string.Join(", ", loaded.Without)}" : "")}{loaded.Read}");
        if (loaded is { New.Count: > 0 }) given.Log($"New parameters are initialised, for the checkpoint has none: {loaded.New.Count} ({string.Join(", ", loaded.New.Take(3))}{(loaded.New.Count > 3 ? ", ..." : "")})");
    }

    private void Announce()
    {
        var t = config.Training;
        given.Log($"Model {config.Model.Name} {config.Model.Flavor} size: {counts.Parameters:N0} total parameters, {(counts.ActiveParameters < counts.Parameters ? $"{counts.ActiveParameters:N0} active, " : "")}{counts.FlopsPerToken(t.SeqLen):N0} FLOPs per token, seed {Seed}");
        var (all, trained) = ModelTotals.Of(parameters);
        if (trained < all || model.Added.Count > 0) given.Log($"Trainable: {trained:N0} of {all:N0} parameters; {(trained < all ? $"{all - trained:N0} are frozen, without gradients and optimizer states" : "none is frozen")}{(model.Added.Count > 0 ? $"; converters added {model.Added.Count} weights" : "")}");
        if (ranks.World.Size > 1)
        {
            var own = parameters.Sum(p => p.Parameter.numel());
            given.Log($"This rank holds {own:N0} of {counts.Parameters:N0} parameters ({100.0 * own / counts.Parameters:F1} %) with their gradients and optimizer states");
        }

        given.Log($"Trainer is initialized with local batch size {t.LocalBatchSize}, global batch size {t.LocalBatchSize * ranks.Dimensions.Batch * accumulation}, gradient accumulation steps {accumulation}, " +
            $"sequence length {t.SeqLen}, total steps {t.Steps} (warmup {config.LrScheduler.WarmupSteps}), on {device}{(ranks.World.Size == 1 ? "" : $", mesh {ranks.Dimensions}")}");
        foreach (var note in model.Notes) given.Log($"Model: {note}");
        foreach (var note in parallelisms.Notes) given.Log($"Parallelism: {note}");
        given.Log($"Training starts at step {step + 1}");
    }

    /// <summary>One optimizer step; false when a stop was asked for before it was done.</summary>
    private bool Step(CancellationToken stop)
    {
        Gradients.Clear(parameters);
        float8Stats.TakeMatmuls();
        ranks.Counter?.Take();
        parallelisms.TakeUnplanned();
        var lr = config.Optimizer.Lr * schedule!.Factor(step + scheduleAhead);
        var loading = Stopwatch.StartNew();
        if (!Interruptible.TryRun(() => Enumerable.Range(0, accumulation).Select(_ => data.Next()!).ToList(), stop, out var batches)) batches = [];
        dataSeconds += loading.Elapsed.TotalSeconds;
        // Ranks must leave at the same step: what one was asked, all do.
        var own = batches.Sum(b => b.Counted);
        if (ranks.Sum(own, stop.IsCancellationRequested ? 1 : 0) is not [var counted, 0]) return false;
        var tokens = (long)counted / ranks.SameData;
        if (tokens == 0) throw new TitanException(ExitCode.Data, $"step {step + 1}: no label of its global batch counts, so there is nothing to learn; raise training.global_batch_size or training.seq_len");
        double sum = 0;
        long counting = 0;
        float8Stats.Begin(step + 1);
        foreach (var batch in batches)
        {
            Failpoint.Hit("micro-batch");
            if (StopsNow(stop)) return false;
            var (loss, labels) = ForwardBackward(batch, tokens);
            (sum, counting) = (sum + loss, counting + labels);
            float8Stats.End();
        }

        if (StopsNow(stop)) return false;
        // Of this rank's own tokens; a rank without any has no loss.
        var ownLoss = counting == 0 ? double.NegativeInfinity : sum * tokens / counting;
        double[] global = ranks.Sum(sum / ranks.SameLoss, Gradients.SquaredNorm(parameters));
        (sum, var norm) = (global[0], Math.Sqrt(global[1]));
        LastLoss = sum;
        Gradients.Clip(parameters, norm, config.Training.MaxNorm);
        if (!double.IsFinite(sum) || !double.IsFinite(norm)) throw NonFinite(batches, sum, norm);
        var context = new StepContext(step + 1, ranks.Mesh.Loss);
        foreach (var module in hooks) module.BeforeOptimizerStep(context);
        optimizer.Step(lr);
        foreach (var module in hooks) module.AfterOptimizerStep(context);
        WeightsChanged();
        if (step++ == firstStep) ranks.FirstStepDone();
        Observe(ranks.Counter?.Take());
        tokensSeen += TokensPerStep;
        stepsSinceLog++;
        Stepped?.Invoke(step, sum);
        leaks.Observe(Tensor.TotalCount);
        if (step == 1 || step % config.Metrics.LogFreq == 0) Report(sum, ranks.Max(ownLoss), norm, lr);
        if (float8Stats.Take(step) is var (line, values))
        {
            given.Log(line);
            sinks.Write(step, values);
        }

        return true;
    }

    /// <summary>The loss of this rank's share, and how many of its labels count.</summary>
    private (double Loss, long Labels) ForwardBackward(Batch batch, long tokens)
    {
        using var scope = NewDisposeScope();
        var share = parallelisms.ShareOf(batch, device);
        return (pass.Run(share, tokens), ranks.SameLoss == ranks.SameData ? batch.Counted : share.Labels.ne(Batch.Ignored).sum().item<long>());
    }

    /// <summary>The first step teaches the schedule what to gather ahead; the second is like all that follow, and is shown.</summary>
    private void Observe(CommunicationTotals? totals)
    {
        if (totals is null) return;
        talk!.Add(totals);
        if (step == firstStep + 2) given.Log(communication!.Render(totals, parallelisms.TakeUnplanned()));
    }

    /// <summary>A rank alone need not finish its step; several must agree, and do so before one.</summary>
    private bool StopsNow(CancellationToken stop) => ranks.World.Size == 1 && stop.IsCancellationRequested;

    /// <summary>Whatever was derived from the weights is stale.</summary>
    private void WeightsChanged()
    {
        foreach (var conversion in conversions) conversion.AfterOptimizerStep();
        parallelisms.AfterOptimizerStep();
    }

    private void Report(double sum, double largest, double norm, double lr)
    {
        var seconds = watch.Elapsed.TotalSeconds;
        watch.Restart();
        var tps = stepsSinceLog * TokensPerStep / seconds / ranks.World.Size;
        var (gib, percent) = ProcessMemory.Peak();
        var steps = Math.Max(1, stepsSinceLog);
        var metrics = new StepMetrics(step, sum, largest, norm, lr, tokensSeen, tps, counts.FlopsPerToken(config.Training.SeqLen) * tps / 1e12, seconds / steps, dataSeconds / steps, gib, percent,
            float8Stats.TakeMatmuls(), deviceMemory?.Invoke(), TokenizerTokensPerSecond())
        {
            OfModel = [.. sources.SelectMany(s => s.Metrics)],
        };
        (stepsSinceLog, dataSeconds) = (0, 0);
        given.Log(metrics.Line(given.Colour));
        sinks.Write(step, [.. metrics.Named(), .. talk?.Take() ?? []]);
    }

    /// <summary>Since the last time; null where no text was tokenised.</summary>
    private double? TokenizerTokensPerSecond()
    {
        var (before, now) = (tokenised, data.Tokenised);
        tokenised = now;
        return now.Seconds > before.Seconds ? (now.Tokens - before.Tokens) / (now.Seconds - before.Seconds) : null;
    }

    private void Validate(CancellationToken stop)
    {
        if (Measure(stop) is not var (mean, tps))
        {
            given.Log($"validate step: {step,2}  broken off, as asked to stop");
            return;
        }

        given.Log($"validate step: {step,2}  loss: {mean,8:F5}  tps: {Math.Round(tps):N0}");
        sinks.Write(step, [("validation_metrics/loss", mean), ("validation_metrics/throughput(tps)", tps)]);
        watch.Restart();
        stepsSinceLog = 0;
    }

    /// <summary>What is wrong with held-out text costs no step: they are saved first.</summary>
    private (double Loss, double TokensPerSecond)? Measure(CancellationToken stop)
    {
        try
        {
            return validator!.Run(inputs, stop);
        }
        catch (TitanException e) when (e.Code == ExitCode.Data && config.Checkpoint is { Enable: true, LoadOnly: false })
        {
            checkpoints.Save(step, tokensSeen, data.Save(), isLast: false);
            throw new TitanException(e.Code, $"validation at step {step}: {e.Message}; step {step} is saved, from which the same command goes on", e);
        }
    }

    private void Collect()
    {
        GC.Collect();
        if (config.Training.GcDebug) given.Log($"collected garbage at step {step}: {GC.GetTotalMemory(false) / 1e6:F0} MB managed, {Tensor.TotalCount} tensors alive");
    }

    /// <summary>Finds the first layer whose output is not finite, with the weights as they were in the failing step.</summary>
    private TitanException NonFinite(IReadOnlyList<Batch> batches, double sum, double norm)
    {
        string? first = null;
        using (no_grad())
        {
            model.Probe = (fqn, output) =>
            {
                using var finite = output.isfinite();
                using var all = finite.all();
                if (first is null && !all.item<bool>()) first = fqn;
            };
            foreach (var batch in batches.TakeWhile(_ => first is null || ranks.World.Size > 1))
            {
                using var scope = NewDisposeScope();
                inputs.Forward(parallelisms.ShareOf(batch, device));
            }
        }

        var where = first is null ? "every layer's output is finite, so it arose in the loss or in backward" : $"the first layer with a non-finite output is {first}";
        return new TitanException(ExitCode.RunFailed,
            $"step {step + 1}: loss {sum}, grad_norm {norm} is not finite; {where}; the weights were not updated and earlier checkpoints are kept; try a lower optimizer.lr or a longer lr_scheduler.warmup_steps");
    }
}
