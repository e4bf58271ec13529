using TorchSharp;
using Titan.Abstractions;
using Titan.Distributed.Nccl;
using static TorchSharp.torch;

namespace Titan.Distributed.Tests.Nccl;

public sealed class NcclProcessGroupTests(FakeNccl fake) : IClassFixture<FakeNccl>
{
    [TheoryWithTools("g++")]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void Every_verb_moves_and_adds_what_it_should(int ranks) => fake.OnRanks(ranks, group =>
    {
        using var scope = NewDisposeScope();
        IProcessGroup g = group;
        Tensor Of(int rank) => (arange(6, dtype: ScalarType.Float32) + 10 * rank).reshape(2, 3);
        foreach (var type in new[] { ScalarType.Float32, ScalarType.BFloat16, Float8Format.E4M3.Type, ScalarType.Int64 })
        {
            var gathered = zeros(2 * ranks, 3).to(type);
            g.AllGatherIntoTensor(gathered, Of(g.Rank).to(type));
            Assert.True(gathered.to(ScalarType.Float32).allclose(cat([.. Enumerable.Range(0, ranks).Select(r => Of(r).to(type).to(ScalarType.Float32))])));
            var broadcast = Of(g.Rank).to(type);
            g.Broadcast(broadcast, ranks - 1);
            Assert.True(broadcast.to(ScalarType.Float32).allclose(Of(ranks - 1).to(type).to(ScalarType.Float32)));
        }

        foreach (var type in new[] { ScalarType.Float32, ScalarType.Float64, ScalarType.Int32, ScalarType.Int64 })
        {
            var input = (arange(2 * ranks, dtype: ScalarType.Float32) + g.Rank).to(type);
            var output = zeros(2, dtype: type);
            g.ReduceScatterTensor(output, input);
            Assert.True(output.eq((arange(2 * ranks, dtype: ScalarType.Float32) * ranks + ranks * (ranks - 1) / 2).narrow(0, 2 * g.Rank, 2).to(type)).all().item<bool>());
            foreach (var (operation, expected) in new[] { (ReduceOperation.Sum, ranks * (ranks - 1) / 2), (ReduceOperation.Max, ranks - 1), (ReduceOperation.Min, 0) })
            {
                var x = full(5, g.Rank, dtype: type);
                g.AllReduce(x, operation);
                Assert.True(x.eq(expected).all().item<bool>(), $"{operation} of {type}");
            }
        }

        var (first, second) = (zeros(2 * ranks), zeros(ranks).to(Float8Format.E5M2.Type));
        g.AllGatherIntoTensorCoalescedAsync([first, second], [full(2, g.Rank, dtype: ScalarType.Float32), ones(1).to(Float8Format.E5M2.Type)]).Wait();
        Assert.Equal(Enumerable.Range(0, 2 * ranks).Select(i => (float)(i / 2)), first.data<float>().ToArray());
        Assert.True(second.to(ScalarType.Float32).eq(1).all().item<bool>());
        var (third, fourth) = (zeros(1), zeros(2));
        g.ReduceScatterTensorCoalescedAsync([third, fourth], [ones(ranks), full(2 * ranks, 2, dtype: ScalarType.Float32)]).Wait();
        Assert.True(third.eq(ranks).all().item<bool>() && fourth.eq(2 * ranks).all().item<bool>());

        var sent = arange(ranks, dtype: ScalarType.Int32) + 100 * g.Rank;
        var got = zeros(ranks, dtype: ScalarType.Int32);
        g.AllToAllSingle(got, sent);
        Assert.Equal(Enumerable.Range(0, ranks).Select(r => 100 * r + g.Rank), got.data<int>().ToArray());
        g.Barrier();
    });

    [TheoryWithTools("g++")]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void Uneven_slices_and_messages_arrive_and_what_has_no_length_is_not_sent(int ranks) => fake.OnRanks(ranks, group =>
    {
        using var scope = NewDisposeScope();
        IProcessGroup g = group;
        foreach (var type in new[] { ScalarType.Float32, ScalarType.BFloat16, Float8Format.E4M3.Type })
        {
            // Rank s sends (3 s + r) % 4 rows to rank r: some of them none.
            long Rows(int from, int to) => (3 * from + to) % 4;
            long[] outputs = [.. Enumerable.Range(0, ranks).Select(r => Rows(r, g.Rank))], inputs = [.. Enumerable.Range(0, ranks).Select(r => Rows(g.Rank, r))];
            var output = zeros(outputs.Sum(), 2).to(type);
            g.AllToAllSingle(output, cat([.. Enumerable.Range(0, ranks).Select(r => full(Rows(g.Rank, r), 2, 10f * g.Rank + r))]).to(type), outputs, inputs);
            var expected = cat([.. Enumerable.Range(0, ranks).Select(r => full(Rows(r, g.Rank), 2, 10f * r + g.Rank))]).to(type).to(ScalarType.Float32);
            Assert.True(output.to(ScalarType.Float32).eq(expected).all().item<bool>());
        }

        // A ring, two tags in opposite orders, and this rank itself.
        int right = (g.Rank + 1) % ranks, left = (g.Rank + ranks - 1) % ranks;
        Tensor first = zeros(3), second = zeros(5), own = zeros(2);
        g.BatchSendReceive(
        [
            PointToPoint.Receive(second, left, 2), PointToPoint.Send(full(3, 1f + g.Rank), right, 1), PointToPoint.Send(full(5, 100f + g.Rank), right, 2), PointToPoint.Receive(first, left, 1),
            PointToPoint.Send(full(2, 7f), g.Rank, 9), PointToPoint.Receive(own, g.Rank, 9), PointToPoint.Send(zeros(0), right, 3), PointToPoint.Receive(zeros(0), left, 3),
        ]);
        Assert.True(first.eq(1 + left).all().item<bool>() && second.eq(100 + left).all().item<bool>() && own.eq(7).all().item<bool>());

        // Two of the ranks; the others know nothing of it.
        var x = full(4, (float)g.Rank);
        if (ranks > 1 && g.Rank == 0) g.SendAsync(x, ranks - 1, 4).Wait();
        if (ranks > 1 && g.Rank == ranks - 1)
        {
            g.Receive(x, 0, 4);
            Assert.True(x.eq(0).all().item<bool>());
        }
    });

    [FactWithTools("g++")]
    public void NaN_wins_although_the_library_loses_it() => fake.OnRanks(2, group =>
    {
        using var scope = NewDisposeScope();
        foreach (var operation in new[] { ReduceOperation.Max, ReduceOperation.Min })
        for (var culprit = 0; culprit < 2; culprit++)
        {
            var x = tensor(new[] { group.Rank + 1f, group.Rank == culprit ? float.NaN : 5, float.NegativeInfinity, float.PositiveInfinity });
            ((IProcessGroup)group).AllReduce(x, operation);
            Assert.Equal([operation == ReduceOperation.Max ? 2 : 1, float.NaN, float.NegativeInfinity, float.PositiveInfinity], x.data<float>().ToArray());
        }
    });

    [FactWithTools("g++")]
    public void The_communication_stream_waits_for_torch_and_torch_for_the_collective() => fake.OnRanks(1, group =>
    {
        using var scope = NewDisposeScope();
        fake.Log();
        var work = group.AllGatherIntoTensorAsync(zeros(3), ones(3));
        Assert.Equal(["record torch", "comm waits", "allgather", "record comm"], fake.Log());
        work.Wait();
        work.Wait();
        Assert.Equal(["torch waits"], fake.Log());
    });

    [FactWithTools("g++")]
    public void Tensors_are_held_until_the_device_is_done() => fake.OnRanks(1, group =>
    {
        group.Oldest();
        var before = Tensor.TotalCount;
        fake.NotReady(true);
        var output = zeros(3);
        var input = ones(3);
        group.AllGatherIntoTensorAsync(output, input).Wait();
        output.Dispose();
        input.Dispose();
        Assert.Equal(before + 2, Tensor.TotalCount);
        Assert.Equal("all_gather_into_tensor #1 of group 'dp_shard' (12 B)", group.Oldest()!.Call.ToString());
        fake.NotReady(false);
        Assert.Null(group.Oldest());
        Assert.Equal(before, Tensor.TotalCount);
        Assert.Equal(1, group.Calls.Completed);
    });

    [FactWithTools("g++")]
    public void Errors_name_the_collective_and_the_group_and_what_NCCL_says() => fake.OnRanks(1, group =>
    {
        using var scope = NewDisposeScope();
        // The stand-in refuses what it cannot add, as NCCL would refuse a wrong argument.
        var error = Assert.Throws<TitanException>(() => group.ReduceScatterTensorAsync(zeros(3, dtype: ScalarType.BFloat16), zeros(3, dtype: ScalarType.BFloat16)));
        Assert.Equal(ExitCode.RunFailed, error.Code);
        Assert.Equal("reduce_scatter_tensor #1 of group 'dp_shard' (6 B) failed on rank 0, 0 of 1 in the group, cpu: ncclReduceScatter: invalid argument (error 4): the stand-in cannot reduce this type", error.Message);
        Assert.Contains("has different", Assert.Throws<ArgumentException>(() => group.AllGatherIntoTensorAsync(zeros(3, dtype: ScalarType.Int32), zeros(3))).Message.Replace("have", "has"), StringComparison.Ordinal);

        // An error that comes after the call has returned.
        fake.NotReady(true);
        fake.AsyncError(6);
        group.AllReduceAsync(zeros(2), ReduceOperation.Sum);
        error = Assert.Throws<TitanException>(() => group.Oldest());
        Assert.Contains("all_reduce #2 of group 'dp_shard' (8 B) failed on rank 0", error.Message, StringComparison.Ordinal);
        Assert.Contains("remote process exited", error.Message, StringComparison.Ordinal);
        fake.AsyncError(0);
        fake.NotReady(false);
    });

    [FactWithTools("g++")]
    public void The_id_arrives_by_value_and_the_version_is_read()
    {
        Assert.Equal("2.22.3", fake.Nccl.Version());
        var id = fake.Nccl.UniqueId();
        id[77]++;
        Assert.Contains("the id is damaged at byte 77", Assert.Throws<NcclException>(() => fake.Nccl.Join(id, 0, 1)).Message, StringComparison.Ordinal);
    }

    [FactWithTools("g++")]
    public void A_library_that_is_missing_is_named_with_where_it_was_looked_for()
    {
        var error = Assert.Throws<TitanException>(() => NcclLocation.Load("/nowhere/libnccl.so.2", null));
        Assert.Equal((ExitCode.Usage, true), (error.Code, error.Message.StartsWith("NCCL_LIBRARY = /nowhere/libnccl.so.2", StringComparison.Ordinal)));
    }
}
