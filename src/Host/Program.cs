using System.CommandLine;
using Titan.Abstractions;
using Titan.Host;
using Titan.Host.Commands;
using Titan.Host.Configuration;
using Titan.Host.Jobs;
using Titan.Host.Planning;
using Titan.Host.Plugins;
using Titan.Host.Runtime;
using Titan.Kernels;
using Titan.Training.Loop;

// One place decides what an error looks like: a message in one line, a stack trace only with --verbose.
var verbose = TrainCommand.Verbose = args.Contains("--verbose");
args = [.. args.Where(a => a != "--verbose")];
var isRun = args is ["train", ..];
ConsoleStream.Install(isRun);
ProcessEnd.Watch();
StopSignals.Listen(isRun);
try
{
    ProgramVariables.Check();
    OpenFiles.Check();
    LibTorch.Prepare();
    var parsed = Commands.Root().Parse(args);
    // The library would print its help and return 1.
    if (parsed.Action is System.CommandLine.Invocation.ParseErrorAction)
        throw new TitanException(ExitCode.Usage, $"{string.Join(" ", parsed.Errors.Select(e => e.Message.ReplaceLineEndings(" ")))} 'titan --help' shows the commands");
    return ProcessEnd.Finish(await parsed.InvokeAsync(new InvocationConfiguration
    {
        EnableDefaultExceptionHandler = false,
        // Else the library listens to signals too, and ends a command 2 s after the first, in the middle of a save, with a code of its own.
        ProcessTerminationTimeout = null,
    }));
}
catch (Exception e)
{
    var (code, message) = PluginFault.Describe(e);
    ProcessEnd.Say($"titan: error: {message}");
    if (verbose) ProcessEnd.Say(PluginFault.TraceOf(e));
    return ProcessEnd.Finish((int)code);
}

/// <summary>The command line.</summary>
internal static class Commands
{
    private const string JobHelp = "Takes --job.config_file FILE and any key of docs/configuration.md as a flag, for example --training.steps 100.";

    public static RootCommand Root()
    {
        var root = new RootCommand("Titan.Plugins: trains large language models on TorchSharp; float8 recipes, model converters and parallelisms are plugins.")
        {
            Job("train", "Runs a job.", [], (rest, _) => TrainCommand.RunAsync(rest)),
            PlanCommand.Create(JobHelp),
            EstimateCommand.Create(JobHelp),
            BenchCommand.Create(TrainingDevice.Choose),
            CheckpointCommand.Create(),
            Config(),
            Plugin(),
            Job("doctor", "Checks this machine: libtorch, CPU, disk, plugins.", [], (rest, _) => Task.FromResult(DoctorCommand.Run(PluginFlags.Read(rest)))),
        };
        return root;
    }

    private static Command Config()
    {
        var changed = new Option<bool>("--changed") { Description = "Only keys that are not at their default." };
        var show = Job("show", "Prints the merged job as TOML, each value with its origin.", [changed], (rest, parsed) =>
        {
            var session = JobSession.Open(rest);
            Console.Write(ConfigPrinter.ToToml(session.Job, session.Schema, parsed.GetValue(changed)));
            return Task.FromResult(0);
        });
        var check = Job("check", "Validates a job.", [], (rest, _) =>
        {
            var session = JobSession.OpenJob(rest);
            var plan = Plan.Of(session);
            foreach (var note in session.Job.Warnings.Concat(plan.Reports.SelectMany(r => r.Notes)).Concat(plan.Warnings)) Console.WriteLine($"note: {note}");
            Console.WriteLine("ok");
            return Task.FromResult(0);
        });
        return new Command("config", "Shows or checks a job's configuration.") { show, check };
    }

    private static Command Plugin()
    {
        var json = new Option<bool>("--json") { Description = "Print JSON." };
        var id = new Argument<string>("id") { Description = "The plugin's id." };
        var path = new Argument<string>("path") { Description = "A plugin folder." };
        var list = Job("list", "Lists the plugins that were found: version, status, exports, and what is wrong. Runs none of their code.", [json], (rest, parsed) =>
        {
            var records = PluginCatalog.Inspect(PluginFlags.Read(rest)).Records;
            Console.Write(parsed.GetValue(json) ? PluginReport.ToJson(records) + Environment.NewLine : PluginReport.Table(records) + PluginReport.Axes(records));
            return Task.FromResult(0);
        });
        var inspect = Job("inspect", "Shows everything about one plugin. Runs none of its code.", [json], (rest, parsed) =>
        {
            var records = PluginCatalog.Inspect(PluginFlags.Read(rest)).Records;
            var record = records.FirstOrDefault(r => r.Id == parsed.GetValue(id))
                ?? throw new TitanException(ExitCode.Plugin, $"no plugin has the id '{parsed.GetValue(id)}'; found: {string.Join(", ", records.Select(r => r.Id))}");
            Console.Write(parsed.GetValue(json) ? PluginReport.ToJson(record) + Environment.NewLine : PluginReport.Details(record));
            return Task.FromResult(0);
        });
        inspect.Arguments.Add(id);
        var verify = Job("verify", "Checks a plugin folder as the host would before loading it. Runs none of its code; exit code 3 when something is wrong.", [json], (_, parsed) =>
        {
            var folder = parsed.GetValue(path)!;
            if (!Directory.Exists(folder)) throw new TitanException(ExitCode.Plugin, $"plugin folder '{folder}' does not exist");
            var record = PluginInspection.Inspect(Path.GetFullPath(folder), PluginCatalog.Contract);
            Console.Write(parsed.GetValue(json) ? PluginReport.ToJson(record) + Environment.NewLine : PluginReport.Details(record));
            return Task.FromResult(record.Status == PluginStatus.Active ? 0 : (int)ExitCode.Plugin);
        });
        verify.Arguments.Add(path);
        return new Command("plugin", "Lists and checks plugins.") { list, inspect, verify };
    }

    /// <summary>A command that passes every flag that it does not know to the job.</summary>
    private static Command Job(string name, string description, Option[] options, Func<IReadOnlyList<string>, ParseResult, Task<int>> run)
    {
        var command = new Command(name, $"{description} {JobHelp}") { TreatUnmatchedTokensAsErrors = false };
        foreach (var option in options) command.Options.Add(option);
        command.SetAction((parsed, _) => run(parsed.UnmatchedTokens, parsed));
        return command;
    }
}
