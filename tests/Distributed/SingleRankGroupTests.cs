using TorchSharp;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Distributed.Tests;

public sealed class SingleRankGroupTests
{
    private readonly IProcessGroup group = new SingleRankGroup("dp_shard");

    [Fact]
    public void Collectives_of_one_rank_are_copies_in_any_dtype_float8_included()
    {
        using var scope = NewDisposeScope();
        foreach (var type in new[] { ScalarType.Float32, ScalarType.BFloat16, ScalarType.Int64, Float8Format.E4M3.Type, Float8Format.E5M2.Type })
        {
            var input = arange(12, dtype: ScalarType.Float32).reshape(3, 4).to(type);
            foreach (var verb in new Action<Tensor, Tensor>[] { group.AllGatherIntoTensor, group.ReduceScatterTensor, group.AllToAllSingle })
            {
                var output = zeros(3, 4).to(type);
                verb(output, input);
                Assert.True(output.to(ScalarType.Float32).allclose(input.to(ScalarType.Float32)));
            }
        }
    }

    [Fact]
    public void Reductions_and_broadcast_leave_the_tensor_and_a_wrong_source_or_size_is_refused()
    {
        using var scope = NewDisposeScope();
        var x = ones(2);
        group.AllReduce(x, ReduceOperation.Max);
        group.Broadcast(x, 0);
        group.Barrier();
        Assert.True(x.allclose(ones(2)));
        Assert.Throws<ArgumentOutOfRangeException>(() => group.Broadcast(x, 1));
        Assert.Throws<ArgumentException>(() => group.AllGatherIntoTensor(zeros(3), x));
    }
}
