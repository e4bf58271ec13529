using System.Globalization;
using Titan.Abstractions;
using Titan.Training.Configuration;
using Titan.Training.Metrics;

namespace Titan.Training.Loop;

/// <summary>The files of a run besides its checkpoints.</summary>
public static class RunFolder
{
    /// <summary>Makes the run's folder.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when it cannot be written.</exception>
    public static string Create(JobConfig config)
    {
        try
        {
            var probe = Path.Combine(Directory.CreateDirectory(config.Job.DumpFolder).FullName, $".write-{Environment.ProcessId}");
            File.WriteAllText(probe, "");
            File.Delete(probe);
            return config.Job.DumpFolder;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TitanException(ExitCode.Data, $"job.dump_folder = '{config.Job.DumpFolder}' cannot be written: {e.Message}; choose another folder", e);
        }
    }

    /// <summary>Opens <c>metrics.jsonl</c> and, when asked for, TensorBoard event files.</summary>
    public static MetricsSinks OpenSinks(JobConfig config, Action<string> warn)
    {
        var folder = Create(config);
        var sinks = new List<IMetricsSink> { new JsonLinesSink(Path.Combine(folder, "metrics.jsonl")) };
        if (config.Metrics.EnableTensorboard)
            sinks.Add(new TensorBoardSink(Path.Combine(folder, config.Metrics.SaveTbFolder, DateTime.Now.ToString("yyyyMMdd-HHmm", CultureInfo.InvariantCulture))));
        return new MetricsSinks(sinks, warn);
    }
}
