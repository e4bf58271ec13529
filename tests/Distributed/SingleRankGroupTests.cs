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
    public void Splits_and_messages_of_one_rank_are_copies_and_wrong_ones_are_refused()
    {
        using var scope = NewDisposeScope();
        var (input, output, first, second) = (arange(6, dtype: ScalarType.Float32).reshape(3, 2), zeros(3, 2), zeros(2), zeros(2));
        group.AllToAllSingle(output, input, [3], [3]);
        Assert.True(output.equal(input).all().item<bool>());
        group.BatchSendReceive([PointToPoint.Receive(second, 0, 2), PointToPoint.Send(ones(2), 0, 1), PointToPoint.Send(ones(2) * 2, 0, 2), PointToPoint.Receive(first, 0, 1)]);
        Assert.True(first.eq(1).all().item<bool>() && second.eq(2).all().item<bool>());
        Assert.Contains("output splits [2] add up to 2, output [3, 2] Float32 has 3 rows", Assert.Throws<ArgumentException>(() => group.AllToAllSingle(output, input, [2], [3])).Message, StringComparison.Ordinal);
        Assert.Contains("rank 0 sends itself nothing with tag 0, and receives 2 Float32", Assert.Throws<ArgumentException>(() => group.Receive(first, 0)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => group.Send(first, 1));
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
