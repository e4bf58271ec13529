using Titan.Abstractions;
using Titan.Distributed;
using Titan.Distributed.Collectives;
using Titan.Distributed.Worker;

// One rank of a multi-process test: Titan.Distributed.Worker SCENARIO[+SCENARIO...] [ARGUMENT...]. Exit code 0 when everything was as expected.
var names = args.Length == 0 ? [] : args[0].Split('+');
if (names.Length == 0 || !names.All(Scenarios.All.ContainsKey))
{
    Console.Error.WriteLine($"usage: Titan.Distributed.Worker SCENARIO, one of: {string.Join(", ", Scenarios.All.Keys)}");
    return (int)ExitCode.Usage;
}

TorchSharp.torch.set_num_threads(1);
DistributedRuntime runtime;
try
{
    runtime = DistributedRuntime.Start(new DistributedOptions { InitTimeout = TimeSpan.FromSeconds(args[0].StartsWith("hang", StringComparison.Ordinal) ? 3 : 60) });
}
catch (TitanException e)
{
    Console.Error.WriteLine(e.Message);
    return (int)e.Code;
}

try
{
    foreach (var name in names) Scenarios.All[name](runtime, args[1..]);
    runtime.Dispose();
    Console.WriteLine($"rank {runtime.Rank} of {runtime.World}: {args[0]} ok");
    return 0;
}
catch (TitanException e)
{
    runtime.Abort(e.Code, e.Message);
}
catch (Exception e)
{
    runtime.Abort(ExitCode.RunFailed, e.ToString());
}

return 1;
