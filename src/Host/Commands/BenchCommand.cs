using System.CommandLine;
using System.Globalization;
using Titan.Abstractions;
using Titan.Benchmarks;
using Titan.Host.Jobs;
using Titan.Host.Planning;
using Titan.Host.Plugins;
using Titan.Host.Runtime;
using Titan.Kernels.Cuda;
using Titan.Quantization.Measurement;
using Titan.Quantization.Roofline;
using Titan.Training.Checkpoints;
using Titan.Training.Loop;
using Titan.Training.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Host.Commands;

/// <summary><c>titan bench</c>: measures kernels, linear layers, training steps and communication on this machine, each into a table that names the command, the machine and the versions.</summary>
internal static class BenchCommand
{
    /// <param name="device">Where it measures, asked for when a command needs it.</param>
    public static Command Create(Func<TrainingDevice> device) => new("bench", "Measures kernels, linear layers, experts, a training step or communication on this machine, and writes a markdown table and CSV that anyone can make again.")
    {
        Kernels(device), Linear(device), Grouped(device), Step(device), Communication(),
    };

    private static Command Kernels(Func<TrainingDevice> device)
    {
        var sizes = new Option<string?>("--sizes") { Description = $"Elements of each matrix, multiples of 32 rows (32K). Default: {KernelBench.CpuSizes}; on a GPU {KernelBench.GpuSizes}.", HelpName = "N,..." };
        var kernels = new Option<string?>("--kernels") { Description = "Only kernels whose name contains one of these, comma separated. Default: all, and the float8 matmul.", HelpName = "PART,..." };
        var matmuls = Text("--matmuls", "MxKxN,...", "Shapes of the float8 matmul; 'none' for no matmuls", "1024x1024x1024,2048x512x2048,4096x1024x1024");
        var columns = Text("--columns", "N", "Columns of each matrix, a multiple of 1024", $"{KernelInputs.DefaultColumns}");
        var repetitions = Text("--repetitions", "N", "Timed repetitions of each case", "9");
        var seconds = Text("--seconds", "S", "A case that takes longer than this is cut to 3 repetitions", "1");
        var output = Out();
        return Bench("kernels", "Float8 casts, the model's fused operations and float8 matmuls: the fused kernels against chains of plain ATen operations in elements per second, and against a copy in bytes per second. On the device that a run would use.", [sizes, columns, kernels, matmuls, repetitions, seconds, output], parsed =>
        {
            var where = device();
            var counts = (parsed.GetValue(sizes) ?? (where.Capability.IsCuda ? KernelBench.GpuSizes : KernelBench.CpuSizes)).Split(',').Select(s => BenchText.Whole("--sizes", s, KernelInputs.Multiple, 1 << 30)).ToList();
            var width = BenchText.Whole("--columns", parsed.GetValue(columns)!, KernelInputs.DefaultColumns, 1 << 15);
            if (width % KernelInputs.DefaultColumns != 0) throw new TitanException(ExitCode.Usage, $"--columns '{width}': expected a multiple of {KernelInputs.DefaultColumns}");
            var least = KernelInputs.Block * width;
            if (counts.FirstOrDefault(c => c % least != 0) is not 0 and var odd) throw new TitanException(ExitCode.Usage, $"--sizes '{odd}': expected a multiple of {least} ({BenchText.Count(least)}), {KernelInputs.Block} rows of {width} columns");
            var parts = parsed.GetValue(kernels)?.Split(',', StringSplitOptions.TrimEntries);
            var cases = KernelCase.All.Where(c => parts is null || parts.Any(p => c.Name.Contains(p, StringComparison.OrdinalIgnoreCase))).ToList();
            if (parts?.FirstOrDefault(p => !KernelCase.All.Any(c => c.Name.Contains(p, StringComparison.OrdinalIgnoreCase))) is { } unknown) throw BenchText.Unknown("--kernels", unknown, KernelCase.All.Select(c => c.Name));
            var shapes = parts is not null || parsed.GetValue(matmuls) == "none" ? [] : Shapes("--matmuls", parsed.GetValue(matmuls)!);
            var timer = new InterleavedTimer(TimeProvider.System, 2, (int)BenchText.Whole("--repetitions", parsed.GetValue(repetitions)!, 1, 1000), Positive("--seconds", parsed.GetValue(seconds)!, TimeSpan.FromSeconds));
            var plugins = MeasuredPlugins.Versions(PluginCatalog.Inspect(PluginFlags.Read(parsed.UnmatchedTokens)).Records);
            var calls = KernelBench.DefaultCalls(where);
            Record(parsed.GetValue(output)!, "kernels", Hardware.On(where.Device), file =>
            {
                using var progress = new BenchProgress(cases.Count * (1 + counts.Count) + shapes.Count);
                using var scope = NewDisposeScope();
                var queue = where.Device.type == DeviceType.CUDA ? QueuedTimer.On(where.Device) : null;
                var bench = new KernelBench(timer, where, calls, width, queue);
                // What is fast and wrong needs no table.
                if (bench.Check(cases, progress) is { Count: > 0 } wrong)
                    throw new TitanException(ExitCode.RunFailed, $"{wrong.Count} of {cases.Count} kernels do not compute what the ATen chain does on {where.Device}: {string.Join("; ", wrong)}; report this, and run without --compile.enable meanwhile");
                var tables = new List<BenchmarkTable> { bench.Fused(cases, counts, progress) };
                if (shapes.Count > 0) tables.Add(bench.Matmuls(shapes, progress));
                return file.Write("Kernels", timer.Description + $"; on {where.Device}{(calls > 1 ? $", {calls} calls in each timing" : "")}{(queue is null ? "" : ", by the GPU's own clock and queued while it was kept busy, so without the time that the host takes to call")}; matrices with {width} columns, logits with {ModelKernels.Vocabulary} or as named; new outputs each time, as in training", plugins, tables,
                    [
                        $"Before they were timed, all {cases.Count} kernels gave the chain's results on this device: casts the same bytes, on random numbers and on every bf16 number.",
                        "fused / ATen: below 1 is a loss, the fused kernel is slower there.", "Gelem/s: billions of elements of one input per second.",
                        "GB/s: bytes that must be read and written at least once, per second. copy: an ATen copy_ that moves as many bytes, in turn with the others.",
                        "fused / copy: part of the copy's bandwidth that the kernel reaches; on a GPU 85 % are expected, of cross-entropy 75 %.",
                        .. queue is { Overtaken: > 0 and var early } ? new[] { $"{early} timings began before all their calls were queued: they hold time of the host." } : [],
                    ]);
            });
        });
    }

    private static Command Linear(Func<TrainingDevice> device)
    {
        var generator = Text("--generator", "NAME", $"Shapes: {string.Join(", ", LinearShapes.Generators.Keys)}", "small");
        var explicitShapes = new Option<string?>("--shapes") { Description = "Shapes instead of a generator: tokens x input features x output features, comma separated.", HelpName = "MxKxN,..." };
        var recipe = new Option<string?>("--recipe") { Description = "Recipes, comma separated, as family/name or name. Default: all that are loaded.", HelpName = "NAME,..." };
        var family = new Option<string?>("--family") { Description = "Only recipes of this family.", HelpName = "NAME" };
        var gpu = new Option<string?>("--gpu") { Description = $"Also shows what the roofline predicts for this GPU: {string.Join(", ", GpuSpecs.All.Select(g => g.Name))}.", HelpName = "NAME" };
        var repetitions = Text("--repetitions", "N", "Timed repetitions of each shape", "5");
        var minutes = Text("--minutes", "T", "Shapes that would end later are skipped, and listed", "2");
        var memory = new Option<string?>("--memory") { Description = "Shapes that need more are skipped, and listed. Default: 70 % of what is free.", HelpName = "GIB" };
        var output = Out();
        return Bench("linear", "LayerNorm -> Linear -> Sigmoid, forward and backward, in bf16 and by float8 recipes; with a heat map of the speed-up over K and N.",
            [generator, explicitShapes, recipe, family, gpu, repetitions, minutes, memory, output], parsed =>
        {
            var name = parsed.GetValue(generator)!;
            if (parsed.GetValue(explicitShapes) is not null && parsed.GetResult(generator) is { Implicit: false }) throw new TitanException(ExitCode.Usage, "--shapes and --generator exclude each other; give one");
            var shapes = parsed.GetValue(explicitShapes) is { } given ? Shapes("--shapes", given)
                : LinearShapes.Generators.TryGetValue(name, out var make) ? make() : throw BenchText.Unknown("--generator", name, LinearShapes.Generators.Keys);
            var spec = parsed.GetValue(gpu) is { } wanted ? GpuSpecs.Find(wanted) ?? throw BenchText.Unknown("--gpu", wanted, GpuSpecs.All.Select(g => g.Name)) : null;
            var where = device();
            var hardware = Hardware.On(where.Device);
            var session = JobSession.Open(parsed.UnmatchedTokens);
            var bench = new LinearBench(
                where, BenchRecipe.Choose(MeasuredPlugins.Recipes(session), parsed.GetValue(recipe), parsed.GetValue(family), _ => true), TimeProvider.System, (int)BenchText.Whole("--repetitions", parsed.GetValue(repetitions)!, 1, 1000),
                parsed.GetValue(memory) is { } gib ? (long)(Positive("--memory", gib, TimeSpan.FromSeconds).TotalSeconds * (1L << 30)) : FreeBytes(where.Device, hardware) / 10 * 7,
                Positive("--minutes", parsed.GetValue(minutes)!, TimeSpan.FromMinutes));
            Record(parsed.GetValue(output)!, "linear", hardware, file =>
            {
                using var progress = new BenchProgress(shapes.Count);
                var results = bench.Run(shapes, progress);
                var images = bench.Draw(results, file.Beside);
                var skipped = results.Count(r => r.Skipped is not null);
                return [.. file.Write("Linear layers", bench.Description, MeasuredPlugins.Versions(session.Catalog.Records), [bench.Table(results, spec)],
                [
                    "speed-up: bf16 / recipe; below 1 the recipe is slower.", .. skipped > 0 ? new[] { $"{skipped} of {results.Count} shapes were skipped, see the last column." } : [],
                    .. images.Select(i => $"![{System.IO.Path.GetFileNameWithoutExtension(i)}]({System.IO.Path.GetFileName(i)})"),
                ]), .. images];
            });
        });
    }

    private static Command Grouped(Func<TrainingDevice> device)
    {
        (string Name, string What, string Default, long Least)[] sizes =
        [
            ("--experts", "Experts", "8", 2), ("--dim", "Input features of an expert's weight, a multiple of 32", "1024", 32), ("--hidden", "Its output features, a multiple of 32", "3584", 32), ("--tokens", "Tokens", "1024", 1),
            ("--top-k", "Experts of each token", "2", 1), ("--skew", "How many times as many rows the first half of the experts gets", "4", 1),
        ];
        var options = sizes.Select(s => Text(s.Name, "N", s.What, s.Default)).ToList();
        var repetitions = Text("--repetitions", "N", "Timed repetitions of each product", "9");
        var output = Out();
        return Bench("grouped", "The grouped products of experts, output and both gradients, in bf16 and of every loaded recipe for experts, against a loop over experts in ATen.", [.. options, repetitions, output], parsed =>
        {
            var n = sizes.Zip(options, (s, o) => BenchText.Whole(s.Name, parsed.GetValue(o)!, s.Least, 1 << 20)).ToList();
            if (n[1] % 32 != 0 || n[2] % 32 != 0) throw new TitanException(ExitCode.Usage, $"--dim '{n[1]}', --hidden '{n[2]}': expected multiples of 32");
            var where = device();
            var timer = new InterleavedTimer(TimeProvider.System, 2, (int)BenchText.Whole("--repetitions", parsed.GetValue(repetitions)!, 1, 1000));
            var session = JobSession.Open(parsed.UnmatchedTokens);
            var bench = new GroupedBench(timer, where, MeasuredPlugins.GroupedRecipes(session, where.Capability));
            Record(parsed.GetValue(output)!, "grouped", Hardware.On(where.Device), file =>
            {
                using var progress = new BenchProgress(bench.Count);
                using TimedExperts experts = new((int)n[0], new LinearShape(n[1], n[2]), n[3] * n[4], n[5], where.Device), small = new(2, new LinearShape(64, 64), 64, 1, where.Device);
                return file.Write("Experts", $"{timer.Description}; on {where.Device}", MeasuredPlugins.Versions(session.Catalog.Records), [bench.Measure(experts, small, progress)],
                [
                    $"{n[0]} experts of {n[1]} x {n[2]}, {n[3]} tokens to {n[4]} each; rows of the experts: {string.Join(", ", experts.Sizes)}.",
                    "ATen loop: the rows are split, each part multiplied by torch.matmul (in fp32 and back where the CPU has no bf16 instructions), the results joined; of float8 operands the codes of rows and weights become bf16 first, by ATen, and the products get their scales back. Operands were cast beforehand on both sides.",
                    "our decode + loop: the same with our own decoding.", "loop / grouped: below 1 the grouped product is slower.",
                ]);
            });
        });
    }

    private static long FreeBytes(torch.Device device, Hardware hardware)
    {
        if (device.type != DeviceType.CUDA) return hardware.AvailableBytes;
        var (inUse, total) = CudaMemory.Of(Math.Max(device.index, 0)).Read();
        return total - inUse;
    }

    private static Command Step(Func<TrainingDevice> device)
    {
        (string Name, string What, string Default)[] sizes =
        [
            ("--dim", "Model dimension", "1024"), ("--layers", "Transformer blocks", "4"), ("--heads", "Attention heads", "16"), ("--kv-heads", "Key and value heads", "8"), ("--ffn", "Feed-forward dimension", "3584"),
            ("--vocab", "Vocabulary size", "8192"), ("--seq", "Tokens in a sequence", "1024"), ("--batch", "Sequences", "1"),
        ];
        var options = sizes.Select(s => Text(s.Name, "N", s.What, s.Default)).ToList();
        var recipe = new Option<string?>("--recipe") { Description = "Recipes, comma separated, as family/name or name; 'all'; 'none'. Default: each family's default, where it is stable.", HelpName = "NAME,..." };
        var family = new Option<string?>("--family") { Description = "Only recipes of this family.", HelpName = "NAME" };
        var rounds = Text("--rounds", "N", "Processes for each arm", "2");
        var warmUps = Text("--warm-ups", "N", "Untimed steps of each process", "2");
        var repetitions = Text("--repetitions", "N", "Timed steps of each process", "2");
        var withoutPlain = new Option<bool>("--without-plain") { Description = "Leaves the arm 'bf16 plain' out." };
        var optimizer = new Option<bool>("--optimizer") { Description = "Runs the optimizer between the steps, outside of their time: weights change as in training, and what its pass finds is not looked for again. Takes the memory of its moments." };
        var one = new Option<bool>("--one-arm") { Hidden = true };
        var output = Out();
        return Bench("step", "One training step of a Llama 3 (forward, loss, backward): plain bf16, fused bf16, and float8 recipes. Time, tokens per second, peak memory and loss. " +
            "Nothing is recomputed unless --activation_checkpoint.mode says so. Flags of a job (--activation_checkpoint.mode full, --quantize.linear.float8.filter_fqns output) are passed to the arms.",
            [.. options, recipe, family, rounds, warmUps, repetitions, withoutPlain, optimizer, one, output], parsed =>
        {
            var n = options.Select(o => (int)BenchText.Whole(o.Name, parsed.GetValue(o)!, 1, 1 << 24)).ToArray();
            var model = new StepModel(n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7]).Checked();
            int warm = (int)BenchText.Whole("--warm-ups", parsed.GetValue(warmUps)!, 0, 1000), times = (int)BenchText.Whole("--repetitions", parsed.GetValue(repetitions)!, 1, 1000);
            var job = parsed.UnmatchedTokens;
            if (parsed.GetValue(one))
            {
                Console.WriteLine(StepArm.Measure(model, warm, times, MeasuredPlugins.Job(JobSession.Open(job)), device(), parsed.GetValue(optimizer)).ToJson());
                return;
            }

            if (job.FirstOrDefault(f => StepBench.Owned.Any(o => f.Replace('-', '_').Contains(o.Replace('-', '_'), StringComparison.Ordinal))) is { } owned)
                throw new TitanException(ExitCode.Usage, $"'{owned}' is what the arms of this command differ in, or is set by --seq and --batch; choose recipes with --recipe");
            var session = JobSession.Open(job);
            var recipes = parsed.GetValue(recipe) == "none" ? [] : BenchRecipe.Choose(MeasuredPlugins.Recipes(session), parsed.GetValue(recipe), parsed.GetValue(family), r => r.IsDefault);
            // The default job recomputes every second block; other programs' steps, beside which these are set, recompute nothing.
            string[] recomputation = session.Job.Origins.ContainsKey("activation_checkpoint.mode") ? [] : ["--activation_checkpoint.mode", "none"];
            string[] Shared(string? family) => ["--training.seq_len", $"{model.Length}", "--training.local_batch_size", $"{model.Batch}", .. recomputation, .. ArmFlags.For(job, family)];
            ArmFlags.ThrowIfUnused(job, [.. recipes.Select(r => r.Family)]);
            var bench = new StepBench(model,
            [
                .. parsed.GetValue(withoutPlain) ? Array.Empty<(string, IReadOnlyList<string>)>() : [(StepBench.Plain, Shared(null))], (StepBench.Fused, [.. Shared(null), "--compile.enable"]),
                .. recipes.Select(r => ($"{r.Name} fused", (IReadOnlyList<string>)
                    [.. Shared(r.Family), "--compile.enable", "--model.converters", $"quantize.linear.{r.Family}", $"--quantize.linear.{r.Family}.recipe_name", r.ShortName])),
            ], (int)BenchText.Whole("--rounds", parsed.GetValue(rounds)!, 1, 1000), warm, times) { WithOptimizer = parsed.GetValue(optimizer) };
            Record(parsed.GetValue(output)!, $"llama3-{model.Dimension}x{model.Layers}", Hardware.On(device().Device), file =>
            {
                using var progress = new BenchProgress(bench.Rounds * bench.Arms.Count);
                StopSignals.Leaving += bench.Stop;
                return file.Write(
                    $"Training step: {model}", bench.Description, MeasuredPlugins.Versions(session.Catalog.Records), bench.Run(progress),
                    [
                        "vs: time of that arm / time of this one; below 1 this arm is slower.",
                        $"activation_checkpoint.mode {(recomputation.Length > 0 ? "none: nothing is recomputed" : session.Job.Config.ActivationCheckpoint.Mode)}.",
                    ]);
            });
        });
    }

    private static Command Communication()
    {
        var repetitions = Text("--repetitions", "N", "Timed steps", "9");
        var output = Out();
        return Bench("communication", "What a job's ranks send each other in a step, by itself, on the network that they are on: gathers in the compute dtype and in float8, scatters, reductions. " +
            "Start it as a job is started: NGPU=4 TRAIN_COMMAND='bench communication' ./run_train.sh --model.converters quantize.linear.float8",
            [repetitions, output], parsed =>
        {
            var times = (int)BenchText.Whole("--repetitions", parsed.GetValue(repetitions)!, 1, 1000);
            TrainCommand.OnEveryRank(runtime =>
            {
                var job = CommunicationJob.Open(() => MeasuredPlugins.JobOfRanks(TrainCommand.Open(parsed.UnmatchedTokens, runtime)), runtime);
                using var progress = new BenchProgress(times + 1);
                if (runtime.Rank > 0) _ = job.Measure(times, _ => { });
                else Record(parsed.GetValue(output)!, "communication", Hardware.On(job.Device), file => job.Write(file, job.Measure(times, progress.Next), times));
            });
        });
    }

    /// <summary>Reserves the file, measures, and says where the results are.</summary>
    private static void Record(string folder, string model, Hardware hardware, Func<BenchmarkFile, IReadOnlyList<string>> measure)
    {
        var file = BenchmarkFile.Create(folder, model, hardware, TimeProvider.System);
        // When a signal ends the process no finally runs.
        StopSignals.Leaving += file.Abandon;
        try
        {
            Failpoint.Hit("measuring");
            var paths = measure(file);
            Console.Write(File.ReadAllText(file.Path));
            Console.WriteLine();
            foreach (var path in paths) Console.WriteLine($"wrote {path}");
        }
        finally
        {
            file.Abandon();
        }
    }

    private static IReadOnlyList<(long Tokens, LinearShape Shape)> Shapes(string option, string text)
    {
        try
        {
            return EstimateRequest.Shapes(text);
        }
        catch (TitanException e)
        {
            throw new TitanException(e.Code, e.Message.Replace("--shapes", option, StringComparison.Ordinal));
        }
    }

    private static TimeSpan Positive(string option, string text, Func<double, TimeSpan> unit) =>
        double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var value) && value is > 0 and <= 1e5
            ? unit(value)
            : throw new TitanException(ExitCode.Usage, $"{option} '{text}': expected a positive number");

    private static Option<string> Text(string name, string unit, string what, string value) => new(name) { Description = $"{what}.", HelpName = unit, DefaultValueFactory = _ => value };

    private static Option<string> Out() => Text("--out", "FOLDER", "Where the tables are written; an earlier page of the same name is replaced", "benchmarks");

    /// <summary>A command that takes dotted flags beside its own options, and refuses others.</summary>
    private static Command Bench(string name, string description, Option[] options, Action<ParseResult> run)
    {
        var command = new Command(name, description) { TreatUnmatchedTokensAsErrors = false };
        foreach (var option in options) command.Options.Add(option);
        command.SetAction(parsed =>
        {
            if (parsed.UnmatchedTokens.FirstOrDefault(t => t.StartsWith('-') && !t.Contains('.')) is { } unknown)
                throw new TitanException(ExitCode.Usage, $"{unknown}: no such option; 'titan bench {name} --help' lists them{Nearest.Hint(unknown, command.Options.Where(o => !o.Hidden).Select(o => o.Name))}");
            run(parsed);
            return 0;
        });
        return command;
    }
}
