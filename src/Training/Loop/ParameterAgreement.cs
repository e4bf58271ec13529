using Titan.Abstractions;
using Titan.Distributed;
using Titan.Kernels.Aten;
using Titan.Training.Checkpoints;
using static TorchSharp.torch;

namespace Titan.Training.Loop;

/// <summary>Whether ranks that hold the same part of a parameter hold the same numbers. Where they do not, each would train a model of its own, and no sum over ranks would mean anything.</summary>
internal static class ParameterAgreement
{
    /// <summary>Compares before the first step. All ranks call it.</summary>
    /// <param name="parameters">The parts that this rank holds.</param>
    /// <param name="world">All ranks.</param>
    /// <param name="owner">The converter that added a parameter; null for none.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Plugin"/> or <see cref="ExitCode.RunFailed"/>, on every rank, naming the first parameter and two ranks that differ.</exception>
    public static void Check(IReadOnlyList<ModelParameter> parameters, IProcessGroup world, Func<string, string?> owner)
    {
        if (world.Size == 1) return;
        using var none = no_grad();
        using var scope = NewDisposeScope();
        // Two numbers for each parameter: which part of it this is, and a sum over its bits.
        var own = tensor(parameters.SelectMany(p => new[] { Part(p.Layout), Bits(p.Parameter) }).ToArray());
        var all = empty(world.Size * own.shape[0], dtype: ScalarType.Int64);
        world.AllGatherIntoTensor(all, own);
        var numbers = all.data<long>().ToArray();
        for (var i = 0; i < parameters.Count; i++)
        {
            var seen = new Dictionary<long, (int Rank, long Bits)>();
            for (var rank = 0; rank < world.Size; rank++)
            {
                var at = 2 * (rank * parameters.Count + i);
                var (part, bits) = (numbers[at], numbers[at + 1]);
                if (!seen.TryGetValue(part, out var first)) seen[part] = (rank, bits);
                else if (first.Bits != bits) throw Differs(parameters[i].Fqn, first.Rank, rank, owner(parameters[i].Fqn));
            }
        }
    }

    private static TitanException Differs(string fqn, int one, int other, string? converter) => converter is not null
        ? new TitanException(ExitCode.Plugin, $"parameter '{fqn}', added by converter '{converter}', differs between ranks {one} and {other} before the first step; fill it in IModelConversion.Initialize, from libtorch's global generator alone")
        : new TitanException(ExitCode.RunFailed, $"parameter '{fqn}' differs between ranks {one} and {other} before the first step; compare the machines and what they load");

    private static long Part(ShardLayout layout)
    {
        var hash = 17L;
        foreach (var number in layout.Offset.Concat(layout.Shape)) hash = unchecked(hash * 1_000_003 + number);
        return hash;
    }

    private static long Bits(Tensor parameter)
    {
        if (parameter.numel() == 0) return 0;
        var bits = AtenGateway.ViewDtype(parameter.detach().contiguous(), parameter.element_size() == 4 ? ScalarType.Int32 : parameter.element_size() == 2 ? ScalarType.Int16 : ScalarType.Int64);
        return bits.sum(ScalarType.Int64).item<long>();
    }
}
