using System.CommandLine;
using Titan.Abstractions;
using Titan.Host.Jobs;
using Titan.Host.Planning;
using Titan.Quantization.Roofline;

namespace Titan.Host.Commands;

/// <summary><c>titan plan</c>: what a job would do, on one rank or on any number.</summary>
internal static class PlanCommand
{
    public static Command Create(string jobHelp)
    {
        var defaults = new Interconnect();
        var world = new Option<int?>("--world") { Description = "For so many ranks: memory of each, bytes and time on the wire by collective, what float8 gathers gain. The degrees in [parallelism] must multiply to it; -1 fills.", HelpName = "N" };
        var intra = new Option<double>("--intra-bandwidth") { Description = "GB/s of one rank, one direction, between ranks of a host.", HelpName = "GB/s", DefaultValueFactory = _ => defaults.Intra / 1e9 };
        var inter = new Option<double>("--inter-bandwidth") { Description = "GB/s of one rank, one direction, between hosts.", HelpName = "GB/s", DefaultValueFactory = _ => defaults.Inter / 1e9 };
        var perHost = new Option<int>("--ranks-per-host") { Description = "Ranks of a host.", HelpName = "N", DefaultValueFactory = _ => defaults.RanksPerHost };
        var gpu = new Option<string>("--gpu") { Description = "The GPU whose matmuls hide communication; 'titan estimate --gpu list' shows them.", HelpName = "NAME", DefaultValueFactory = _ => GpuSpecs.Default.Name };
        var json = new Option<bool>("--json") { Description = "Print JSON." };
        var command = new Command("plan", $"Shows what a job would do: layers, parameters, FLOPs, memory; for many ranks also what they send each other. Allocates nothing. {jobHelp}")
        {
            world, intra, inter, perHost, gpu, json,
        };
        command.TreatUnmatchedTokensAsErrors = false;
        command.SetAction(parsed =>
        {
            var request = parsed.GetValue(world) is { } ranks
                ? Check(ranks, parsed.GetValue(intra), parsed.GetValue(inter), parsed.GetValue(perHost), parsed.GetValue(gpu)!)
                : new[] { (Option)intra, inter, perHost, gpu }.FirstOrDefault(o => parsed.GetResult(o) is { Implicit: false }) is { } alone
                    ? throw new TitanException(ExitCode.Usage, $"{alone.Name} has no effect without --world N")
                    : null;
            var session = JobSession.OpenJob(parsed.UnmatchedTokens, request?.World);
            foreach (var warning in session.Job.Warnings) Console.Error.WriteLine($"titan: note: {warning}");
            var plan = Plan.Of(session, request);
            Console.Write(parsed.GetValue(json) ? plan.ToJson() + Environment.NewLine : plan.ToText());
            return 0;
        });
        return command;
    }

    private static WorldRequest Check(int world, double intra, double inter, int perHost, string gpu)
    {
        if (world < 1) throw new TitanException(ExitCode.Usage, $"--world {world}: expected 1 or more ranks");
        if (perHost < 1) throw new TitanException(ExitCode.Usage, $"--ranks-per-host {perHost}: expected 1 or more");
        foreach (var (name, value) in new[] { ("--intra-bandwidth", intra), ("--inter-bandwidth", inter) })
            if (!(value > 0) || !double.IsFinite(value)) throw new TitanException(ExitCode.Usage, $"{name} {value}: expected GB/s, more than 0");
        return new WorldRequest(world, new Interconnect(intra * 1e9, inter * 1e9, perHost), EstimateRequest.FindGpu(gpu));
    }
}
