using System.Globalization;
using Titan.Abstractions;
using Titan.Training.Checkpoints;
using Titan.Training.Configuration;
using Titan.Training.Metrics;

namespace Titan.Training.Loop;

/// <summary>The files of a run besides its checkpoints.</summary>
public static class RunFolder
{
    /// <summary>Makes the run's folder.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when it cannot be written.</exception>
    public static string Create(JobConfig config) => Guard(config, () =>
    {
        var probe = Path.Combine(Directory.CreateDirectory(config.Job.DumpFolder).FullName, $".write-{Environment.ProcessId}");
        // A byte: on a full disk an empty file can still be made.
        File.WriteAllText(probe, ".");
        File.Delete(probe);
        return config.Job.DumpFolder;
    });

    /// <summary>Makes the run's folder and keeps other runs out of it: two would write into the same files.</summary>
    /// <returns>What to dispose of when the run has ended.</returns>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when it cannot be written, or another run has it.</exception>
    public static IDisposable Take(JobConfig config)
    {
        var folder = Create(config);
        return Guard(config, () => FolderLock.Take(folder, "job.dump_folder", ".run.lock"));
    }

    /// <summary>Writes a file of the run.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when it cannot be written.</exception>
    public static void Write(JobConfig config, string name, string text) => Guard(config, () =>
    {
        var path = Path.Combine(config.Job.DumpFolder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        File.WriteAllText(path, text);
        return path;
    });

    /// <summary>
    /// Opens <c>metrics.jsonl</c> on rank 0 and, when asked for, TensorBoard event files: of rank 0, or of every rank in a folder of its own. All ranks call it.
    /// </summary>
    public static MetricsSinks OpenSinks(JobConfig config, TrainingRanks ranks, Action<string> warn)
    {
        // One time for all: what belongs together lies in one folder.
        var began = new DateTime(ranks.OfFirst(DateTime.Now.Ticks));
        var forAll = config.Metrics.SaveForAllRanks;
        if (!ranks.IsMain && !(forAll && config.Metrics.EnableTensorboard)) return new MetricsSinks([], warn);
        var folder = Create(config);
        return Guard(config, () =>
        {
            var sinks = new List<IMetricsSink>();
            if (ranks.IsMain) sinks.Add(new JsonLinesSink(Path.Combine(folder, "metrics.jsonl")));
            if (config.Metrics.EnableTensorboard)
                sinks.Add(new TensorBoardSink(Path.Combine(folder, config.Metrics.SaveTbFolder, began.ToString("yyyyMMdd-HHmm", CultureInfo.InvariantCulture), forAll ? $"rank_{ranks.World.Rank}" : "")));
            return new MetricsSinks(sinks, warn);
        });
    }

    private static T Guard<T>(JobConfig config, Func<T> write)
    {
        try
        {
            return write();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new TitanException(ExitCode.Data, $"job.dump_folder = '{config.Job.DumpFolder}' cannot be written: {e.Message}; choose another folder", e);
        }
    }
}
