using System.Runtime.ExceptionServices;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using TorchSharp;
using Titan.Distributed;
using Titan.Host.Configuration;
using Titan.Host.Jobs;
using Titan.Host.Planning;
using Titan.Host.Plugins;
using Titan.Host.Runtime;
using Titan.Kernels;
using Titan.Quantization.Conversion;
using Titan.Training.Checkpoints;
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
        Failpoint.Hit("starting");
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
        StopSignals.Announce(logs.IsShown);
        var builder = Microsoft.Extensions.Hosting.Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { ApplicationName = "titan" });
        builder.Services.AddSingleton(session);
        builder.Services.AddSingleton(runtime);
        var failure = new RunFailure();
        builder.Services.AddSingleton(failure);
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        builder.Services.AddSingleton(new RunLog(logs));
        builder.Services.AddHostedService<TrainingService>();
        // A large save may take longer than the host's usual patience, and must not be cut off.
        builder.Services.Configure<HostOptions>(o => o.ShutdownTimeout = Timeout.InfiniteTimeSpan);
        using var host = builder.Build();
        await host.RunAsync();
        failure.Value?.Throw();
    }

    /// <summary>The job, the same on all ranks.</summary>
    public static JobSession Open(IReadOnlyList<string> args, DistributedRuntime runtime)
    {
        // The ranks of a machine share its cores.
        if (runtime.World > 1 && Environment.GetEnvironmentVariable("OMP_NUM_THREADS") is null) torch.set_num_threads(Math.Max(1, Environment.ProcessorCount / runtime.LocalSize));
        var session = JobSession.OpenJob(args, runtime.World, runtime.WorldGroup);
        runtime.SetTimeout(TimeSpan.FromSeconds(session.Job.Config.Comm.InitTimeoutSeconds));
        if (runtime.World > 1) CollectiveAgreement.Agree(runtime.WorldGroup, session.Facts);
        return session;
    }

    /// <summary>What the run failed with; thrown once the host has stopped.</summary>
    private sealed class RunFailure
    {
        public ExceptionDispatchInfo? Value { get; set; }
    }

    /// <summary>The generic host listens to signals of its own accord; here <see cref="StopSignals"/> does.</summary>
    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }

    /// <summary>The training run, on a thread of its own: TorchSharp's dispose scopes belong to a thread.</summary>
    private sealed class TrainingService(JobSession session, DistributedRuntime runtime, RunFailure failure, RunLog log, IHostApplicationLifetime lifetime) : BackgroundService
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
                    failure.Value = ExceptionDispatchInfo.Capture(e);
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
            using var folder = main ? RunFolder.Take(config) : null;
            if (main && config.Job.SaveConfigFile is { } file) RunFolder.Write(config, file, ConfigPrinter.ToJson(session.Job, session.Schema));

            var device = TrainingDevice.Choose();
            var needs = RunNeeds.Of(config, session.Models.Find(config.Model.Name, config.Model.Flavor).Counts, TrainingRanks.Resolve(config, runtime.World));
            var machine = RankMachine.Of(device.Device, runtime.LocalSize);
            if (needs.Problem(machine) is { } tooLarge) throw new Abstractions.TitanException(Abstractions.ExitCode.Hardware, tooLarge);
            foreach (var warning in needs.Warnings(machine)) log.Warn(warning);
            if (config.Debug.Deterministic && device.Device.type == DeviceType.CUDA)
                log.Warn("debug.deterministic has no effect on a GPU: libtorch's attention may add in any order there, so that two runs may differ in their last bits");
            var ranks = TrainingRanks.Of(runtime, config, device.Device);
            if (ranks.AnyAsks(StopSignals.Stop))
            {
                log.Info("Stopped before the model was built, as asked; there was nothing to save");
                return;
            }

            Failpoint.Hit("building");
            using var trainer = new Trainer(new TrainerDependencies(
                config, session.Models, session.Chosen, session.Origin, log.Info, log.Warn, log.Colour)
            {
                Device = device,
                Ranks = ranks,
                Parallelisms = session.Parallelisms(),
                Progress = main ? log.Progress : null,
            });
            foreach (var report in trainer.Reports) log.Info(ReportText.Render(report).TrimEnd());
            if (main) RunFolder.Write(config, "run.json", PluginReport.ToJson(new { conversion = trainer.Reports, plugins = session.PluginVersions, seed = trainer.Seed }));
            if (config.Model.PrintAfterConversion) log.Info(trainer.Describe());
            trainer.Run(StopSignals.Stop);
            log.ClearProgress();
            Failpoint.Hit("ending");
        }
    }
}
