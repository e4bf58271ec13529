using System.CommandLine;
using Titan.Abstractions;
using Titan.Host.Jobs;
using Titan.Host.Planning;
using Titan.Quantization.Roofline;
using Titan.Training.Models;

namespace Titan.Host.Commands;

/// <summary><c>titan estimate</c>: what a recipe gains for the linears of a job, or for given shapes, by the roofline model. Needs no GPU.</summary>
internal static class EstimateCommand
{
    private const string Description =
        "Estimates what float8 gains: for each linear layer the time of its matmuls in bf16 and by the recipe, the cost of the casts, and the speed-up, on a GPU that need not be here. " +
        "With a job (as 'titan plan' takes it), or for given shapes under every loaded recipe: --shapes 4096x4096x4096,16384x8192x8192.";

    public static Command Create(string jobHelp)
    {
        var gpu = new Option<string>("--gpu") { Description = $"{string.Join(", ", GpuSpecs.All.Select(g => g.Name))}; 'list' shows their numbers.", HelpName = "NAME", DefaultValueFactory = _ => GpuSpecs.Default.Name };
        var fused = new Option<bool>("--fused") { Description = "The casts of input and gradient share the read of the operation before. Default: what compile.enable says; with --shapes no." };
        var notFused = new Option<bool>("--no-fused") { Description = "Every cast reads its tensor." };
        var tokens = new Option<string?>("--m") { Description = "Tokens of one micro-batch on one rank. Default: training.local_batch_size x training.seq_len, divided by the context parallel degree.", HelpName = "N" };
        var shapes = new Option<string?>("--shapes") { Description = "Shapes instead of a job: tokens x input features x output features, comma separated.", HelpName = "MxKxN,..." };
        var json = new Option<bool>("--json") { Description = "Print JSON; times in seconds." };
        var command = new Command("estimate", $"{Description} {jobHelp}") { gpu, fused, notFused, tokens, shapes, json };
        command.TreatUnmatchedTokensAsErrors = false;
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(gpu) == "list")
            {
                Console.Write(EstimateText.Gpus());
                return 0;
            }

            // A job's flags have a dot: anything else is a misspelt option of this command.
            if (parsed.UnmatchedTokens.FirstOrDefault(t => t.StartsWith("--", StringComparison.Ordinal) && !t.Contains('.')) is { } unknown)
                throw new TitanException(ExitCode.Usage, $"{unknown}: no such option; 'titan estimate --help' lists them{Nearest.Hint(unknown, command.Options.Select(o => o.Name))}");
            var request = EstimateRequest.Of(parsed.GetValue(gpu)!, parsed.GetValue(fused), parsed.GetValue(notFused), parsed.GetValue(tokens));
            var text = parsed.GetValue(shapes) is { } given
                ? OfShapes(given, request, parsed.UnmatchedTokens, parsed.GetValue(json))
                : OfJob(request, parsed.UnmatchedTokens, parsed.GetValue(json));
            Console.Write(text);
            return 0;
        });
        return command;
    }

    private static string OfJob(EstimateRequest request, IReadOnlyList<string> args, bool json)
    {
        var session = JobSession.OpenJob(args);
        foreach (var warning in session.Job.Warnings) Warn(warning);
        var estimates = Estimate.Of(session, request, Warn);
        return json ? EstimateJson.Of(estimates) + Environment.NewLine : string.Join(Environment.NewLine, estimates.Select(EstimateText.Render));
    }

    private static void Warn(string text) => Console.Error.WriteLine($"titan: note: {text}");

    private static string OfShapes(string given, EstimateRequest request, IReadOnlyList<string> args, bool json)
    {
        var shapes = EstimateRequest.Shapes(given);
        if (request.Tokens is not null) throw new TitanException(ExitCode.Usage, "--m has no effect with --shapes: the first number of each shape is M; remove one of them");
        if (args.FirstOrDefault(a => a.StartsWith("--", StringComparison.Ordinal) && !a.StartsWith("--plugins.", StringComparison.Ordinal) && !a.StartsWith("--quantize.", StringComparison.Ordinal)) is { } flag)
            throw new TitanException(ExitCode.Usage, $"'{flag}' has no effect with --shapes, which takes the place of a job; remove one of them (--plugins.* and --quantize.* may stay)");
        var session = JobSession.Open(args);
        var fused = request.Fused ?? false;
        var recipes = NamedRecipe.All(session, Warn).Select(r => (Recipe: r, Shapes: ShapeEstimate.Of(r, request.Gpu, fused, shapes))).ToList();
        if (recipes.Count == 0) throw new TitanException(ExitCode.Plugin, "no recipe is loaded, so there is nothing to estimate; 'titan plugin list' shows what was found");
        return json
            ? EstimateJson.Of(request.Gpu, fused, recipes) + Environment.NewLine
            : string.Join(Environment.NewLine, recipes.Select(r => EstimateText.Render(r.Recipe, request.Gpu, fused, r.Shapes)));
    }
}
