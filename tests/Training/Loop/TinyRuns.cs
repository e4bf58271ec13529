using Titan.Abstractions;
using Titan.Training.Configuration;
using Titan.Training.Loop;
using Titan.Training.Models;
using Titan.Models.Llama3;

namespace Titan.Training.Tests.Loop;

/// <summary>Runs of a tiny model, in folders that go with the test.</summary>
public abstract class TinyRuns : IDisposable
{
    protected const int Steps = 8;

    private readonly TestFolder folder = new();

    /// <summary>Saves all, every second step.</summary>
    protected static CheckpointSection Full { get; } = new() { Enable = true, Interval = 2, LastSaveModelOnly = false };

    private protected TestFolder Folder => folder;

    /// <summary>What the runs warned of.</summary>
    protected List<string> Warnings { get; } = [];

    /// <summary>Whether the linears are float8.</summary>
    protected bool IsFloat8 { get; set; }

    /// <summary>Further converters of the runs.</summary>
    protected List<(string Name, IModelConverter Converter, object Options)> Converters { get; } = [];

    /// <summary>What the runs logged.</summary>
    protected List<string> Logged { get; } = [];

    /// <summary>Plugins and options of the runs.</summary>
    protected Dictionary<string, string> Metadata { get; set; } = [];

    public void Dispose()
    {
        folder.Dispose();
        GC.SuppressFinalize(this);
    }

    protected static TrainingSection Training => new() { SeqLen = 16, LocalBatchSize = 2, Steps = Steps, MixedPrecisionParam = "float32" };

    protected string At(string run, params string[] parts) => Folder.At([run, "checkpoint", .. parts]);

    protected IEnumerable<string> Folders(string run) => Directory.EnumerateDirectories(At(run)).Select(d => Path.GetFileName(d)).Order(StringComparer.Ordinal);

    /// <summary>Every file of a run's checkpoints with its content.</summary>
    protected Dictionary<string, string> Snapshot(string run) => Directory.EnumerateFiles(At(run), "*", SearchOption.AllDirectories).Where(f => !f.EndsWith(".lock", StringComparison.Ordinal))
        .ToDictionary(f => f, f => System.Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(f))));

    protected JobConfig Job(string run, CheckpointSection checkpoint) => new()
    {
        Job = new JobSection { DumpFolder = Folder.At(run) },
        Model = new ModelSection { Flavor = "tiny" },
        Training = Training,
        Checkpoint = checkpoint,
        LrScheduler = new LrSchedulerSection { WarmupSteps = 2 },
        ActivationCheckpoint = new ActivationCheckpointSection { Mode = "none" },
        Debug = new DebugSection { Seed = 1 },
        Metrics = new MetricsSection { LogFreq = 1 },
    };

    protected Trainer Create(JobConfig job)
    {
        var registry = new ModelRegistry();
        registry.Register("llama3", new Dictionary<string, Llama3Args>
        {
            ["tiny"] = new(32, 1, 2, 2, 2048, MultipleOf: 32), ["wide"] = new(64, 1, 2, 2, 2048, MultipleOf: 32), ["deep"] = new(32, 2, 2, 2, 2048, MultipleOf: 32),
            ["turned"] = new(32, 1, 2, 2, 2048, MultipleOf: 32, RopeTheta: 1000),
        }.ToDictionary(f => f.Key, f => f.Value.Flavor));
        return new Trainer(new TrainerDependencies(job, registry, IsFloat8 ? [TensorwiseConverter.Create(), .. Converters] : Converters, Metadata, Logged.Add, Warnings.Add, false));
    }

    /// <summary>The losses of a run that is asked to stop after a step.</summary>
    protected SortedDictionary<long, double> Run(CheckpointSection checkpoint, string run, int stop = Steps, JobConfig? config = null)
    {
        using var trainer = Create(config ?? Job(run, checkpoint));
        using var source = new CancellationTokenSource();
        var losses = new SortedDictionary<long, double>();
        trainer.Stepped += (step, loss) =>
        {
            losses[step] = loss;
            if (step == stop) source.Cancel();
        };
        if (stop == 0) source.Cancel();
        trainer.Run(source.Token);
        return losses;
    }

    protected string Refused(CheckpointSection checkpoint, string run, JobConfig? config = null)
    {
        var stepped = false;
        var error = Assert.Throws<TitanException>(() =>
        {
            using var trainer = Create(config ?? Job(run, checkpoint));
            trainer.Stepped += (_, _) => stepped = true;
            trainer.Run(CancellationToken.None);
        });
        Assert.False(stepped);
        Assert.Equal(ExitCode.Data, error.Code);
        return error.Message;
    }
}
