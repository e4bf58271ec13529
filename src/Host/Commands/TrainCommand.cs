using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Titan.Host.Configuration;
using Titan.Host.Jobs;
using Titan.Host.Plugins;
using Titan.Kernels;
using Titan.Quantization.Conversion;
using Titan.Training.Loop;
using Titan.Training.Models;

namespace Titan.Host.Commands;

/// <summary><c>titan train</c>: runs a job in a generic host.</summary>
internal static class TrainCommand
{
    public static async Task<int> RunAsync(IReadOnlyList<string> args)
    {
        var session = JobSession.Open(args);
        using var signals = new StopSignals();
        var builder = Microsoft.Extensions.Hosting.Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { ApplicationName = "titan" });
        builder.Services.AddSingleton(session);
        builder.Services.AddSingleton(signals);
        builder.Services.AddSingleton(ModelRegistry.CreateDefault());
        builder.Services.AddSingleton<RunLog>();
        builder.Services.AddHostedService<TrainingService>();
        // A large save may take longer than the host's usual patience, and must not be cut off.
        builder.Services.Configure<HostOptions>(o => o.ShutdownTimeout = Timeout.InfiniteTimeSpan);
        using var host = builder.Build();
        await host.RunAsync();
        return (int)Abstractions.ExitCode.Ok;
    }

    /// <summary>The training run, on a thread of its own: TorchSharp's dispose scopes belong to a thread.</summary>
    private sealed class TrainingService(JobSession session, StopSignals signals, ModelRegistry models, RunLog log, IHostApplicationLifetime lifetime) : BackgroundService
    {
        protected override Task ExecuteAsync(CancellationToken stoppingToken)
        {
            var done = new TaskCompletionSource();
            var thread = new Thread(() =>
            {
                try
                {
                    Train();
                    done.SetResult();
                }
                catch (Exception e)
                {
                    signals.Failure = System.Runtime.ExceptionServices.ExceptionDispatchInfo.Capture(e);
                    done.SetResult();
                }
                finally
                {
                    lifetime.StopApplication();
                }
            }, maxStackSize: 64 << 20) { Name = "train" };
            thread.Start();
            return done.Task;
        }

        private void Train()
        {
            var config = session.Job.Config;
            log.Colour = !config.Metrics.DisableColorPrinting && RunLog.IsTerminal;
            log.Info($"Starting job: {config.Job.Description}");
            foreach (var warning in session.Job.Warnings) log.Warn(warning);
            foreach (var record in session.Catalog.Records.Where(r => r.Status is not (PluginStatus.Active or PluginStatus.Disabled or PluginStatus.Superseded)))
                log.Warn($"plugin {record.Id}: {record.Status}: {record.Reason}; {record.NextStep}");
            if (config.Job.PrintConfig) log.Info(ConfigPrinter.ToJson(session.Job, session.Schema));
            RunFolder.Create(config);
            if (config.Job.SaveConfigFile is { } file) RunFolder.Write(config, file, ConfigPrinter.ToJson(session.Job, session.Schema));

            using var trainer = new Trainer(new TrainerDependencies(
                config, models, session.Converters.Choose(session.Job, session.Schema), session.Counter, session.PluginVersions, log.Info, log.Warn, log.Colour)
            {
                Device = TrainingDevice.Choose(),
                Progress = log.Progress,
            });
            foreach (var report in trainer.Reports) log.Info(ReportText.Render(report).TrimEnd());
            RunFolder.Write(config, "run.json", PluginReport.ToJson(new { conversion = trainer.Reports, plugins = session.PluginVersions, seed = trainer.Seed }));
            if (config.Model.PrintAfterConversion) log.Info(trainer.Describe());
            trainer.Run(signals.Token);
            log.ClearProgress();
        }
    }
}
