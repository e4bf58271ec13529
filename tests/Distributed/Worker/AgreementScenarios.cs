namespace Titan.Distributed.Worker;

internal static class AgreementScenarios
{
    public static void Alike(DistributedRuntime runtime, string[] arguments) =>
        CollectiveAgreement.Agree(runtime.WorldGroup, new Dictionary<string, string> { ["training.seq_len"] = "2048", ["plugin Titan.MXFP8"] = "0.1.0 äöü" });

    /// <summary>The last rank has another value and lacks a plugin.</summary>
    public static void OneDiffers(DistributedRuntime runtime, string[] arguments)
    {
        var facts = new Dictionary<string, string> { ["training.seq_len"] = "2048", ["plugin Titan.MXFP8"] = "0.1.0" };
        if (runtime.Rank == runtime.World - 1) facts = new() { ["training.seq_len"] = "4096" };
        CollectiveAgreement.Agree(runtime.WorldGroup, facts);
    }
}
