using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using TorchSharp;
using Titan.Distributed;
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
    /// <summary>Whether a rank that fails shows where.</summary>
    public static bool Verbose { get; set; }

    public static Task<int> RunAsync(IReadOnlyList<string> args) => OnEveryRankAsync(runtime => RunAsync(args, runtime));

    /// <summary>Runs something that all ranks of a job do together; a failure of one ends all.</summary>
    public static void OnEveryRank(Action<DistributedRuntime> action) => OnEveryRankAsync(runtime =>
    {
        action(runtime);
        return Task.CompletedTask;
    }).GetAwaiter().GetResult();

    private static async Task<int> OnEveryRankAsync(Func<DistributedRuntime, Task> action)
    {
        var runtime = DistributedRuntime.Start();
        try
        {
            await action(runtime);
        }
        catch (Exception e) when (runtime.World > 1)
        {
            var (code, message) = PluginFault.Describe(e);
            // Where all ranks fail alike, rank 0 says so for all.
            if (runtime.Rank > 0) Thread.Sleep(TimeSpan.FromSeconds(2));
            runtime.Abort(code, $"titan: error: {message}" + (Verbose ? Environment.NewLine + PluginFault.TraceOf(e) : ""));
        }

        runtime.Dispose();
        return (int)Abstractions.ExitCode.Ok;
    }

    private static async Task RunAsync(IReadOnlyList<string> args, DistributedRuntime runtime)
    {
        var session = Open(args, runtime);
        var logs = LogRanks.Of(Environment.GetEnvironmentVariable("LOG_RANK"), runtime.Rank, runtime.World);
        using var signals = new StopSignals(logs.IsShown);
        var builder = Microsoft.Extensions.Hosting.Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { ApplicationName = "titan" });
        builder.Services.AddSingleton(session);
        builder.Services.AddSingleton(runtime);
        builder.Services.AddSingleton(signals);
        builder.Services.AddSingleton(ModelRegistry.CreateDefault());
        builder.Services.AddSingleton(new RunLog(logs));
        builder.Services.AddHostedService<TrainingService>();
        // A large save may take longer than the host's usual patience, and must not be cut off.
        builder.Services.Configure<HostOptions>(o => o.ShutdownTimeout = Timeout.InfiniteTimeSpan);
        using var host = builder.Build();
        await host.RunAsync();
    }

    /// <summary>The job, the same on all ranks.</summary>
    public static JobSession Open(IReadOnlyList<string> args, DistributedRuntime runtime)
    {
        // The ranks of a machine share its cores.
        if (runtime.World > 1 && Environment.GetEnvironmentVariable("OMP_NUM_THREADS") is null) torch.set_num_threads(Math.Max(1, Environment.ProcessorCount / runtime.LocalSize));
        var session = JobSession.Open(args, runtime.WorldGroup);
        runtime.SetTimeout(TimeSpan.FromSeconds(session.Job.Config.Comm.InitTimeoutSeconds));
        if (runtime.World > 1) CollectiveAgreement.Agree(runtime.WorldGroup, session.Facts);
        return session;
    }

    /// <summary>The training run, on a thread of its own: TorchSharp's dispose scopes belong to a thread.</summary>
    private sealed class TrainingService(JobSession session, DistributedRuntime runtime, StopSignals signals, ModelRegistry models, RunLog log, IHostApplicationLifetime lifetime) : BackgroundService
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
            foreach (var replaced in session.Catalog.Records.Where(r => r.Status == PluginStatus.Superseded && PluginFolders.IsBuiltIn(r.Folder)))
                log.Warn($"plugin {replaced.Id} {replaced.Version} of this program is not used: {replaced.Reason}; to use it, {replaced.NextStep}");
            if (config.Job.PrintConfig) log.Info(ConfigPrinter.ToJson(session.Job, session.Schema));
            var main = runtime.Rank == 0;
            if (main) RunFolder.Create(config);
            if (main && config.Job.SaveConfigFile is { } file) RunFolder.Write(config, file, ConfigPrinter.ToJson(session.Job, session.Schema));

            var device = TrainingDevice.Choose();
            using var trainer = new Trainer(new TrainerDependencies(
                config, models, session.Converters.Choose(session.Job, session.Schema), session.Counter, session.Origin, log.Info, log.Warn, log.Colour)
            {
                Device = device,
                Ranks = TrainingRanks.Of(runtime, config, device.Device),
                Parallelisms = session.Parallelisms(),
                Progress = main ? log.Progress : null,
            });
            foreach (var report in trainer.Reports) log.Info(ReportText.Render(report).TrimEnd());
            if (main) RunFolder.Write(config, "run.json", PluginReport.ToJson(new { conversion = trainer.Reports, plugins = session.PluginVersions, seed = trainer.Seed }));
            if (config.Model.PrintAfterConversion) log.Info(trainer.Describe());
            trainer.Run(signals.Token);
            log.ClearProgress();
        }
    }
}
