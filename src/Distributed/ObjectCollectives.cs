using System.Text.Json;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Distributed;

/// <summary>Collectives for what is no tensor (c10d's object collectives); it travels as JSON. Every rank calls them.</summary>
public static class ObjectCollectives
{
    /// <summary>What every rank gives, in rank order (c10d's <c>all_gather_object</c>). Two collectives: of the lengths, and of the texts.</summary>
    /// <param name="group">The ranks, in a group that carries CPU tensors.</param>
    /// <param name="mine">What this rank gives; what System.Text.Json writes and reads again.</param>
    public static IReadOnlyList<T> AllGatherObject<T>(this IProcessGroup group, T mine)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var text = JsonSerializer.SerializeToUtf8Bytes(mine);
        var lengths = empty(group.Size, dtype: ScalarType.Int64);
        group.AllGatherIntoTensor(lengths, tensor([(long)text.Length]));
        var length = lengths.data<long>().ToArray();
        // One length for all, as the collective wants it.
        var longest = (int)length.Max();
        Array.Resize(ref text, longest);
        var texts = empty((long)group.Size * longest, dtype: ScalarType.Byte);
        group.AllGatherIntoTensor(texts, tensor(text));
        var read = texts.data<byte>().ToArray();
        return [.. length.Select((l, rank) => JsonSerializer.Deserialize<T>(read.AsSpan(rank * longest, (int)l))!)];
    }

    /// <summary>What rank <paramref name="source"/> gives, on every rank (c10d's <c>broadcast_object_list</c>). Two collectives: of the length, and of the text.</summary>
    /// <param name="group">The ranks, in a group that carries CPU tensors.</param>
    /// <param name="mine">What <paramref name="source"/> gives; what System.Text.Json writes and reads again. Elsewhere it is not looked at.</param>
    /// <param name="source">The rank in the group.</param>
    public static T BroadcastObject<T>(this IProcessGroup group, T mine, int source = 0)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var text = group.Rank == source ? JsonSerializer.SerializeToUtf8Bytes(mine) : [];
        var length = tensor([(long)text.Length]);
        group.Broadcast(length, source);
        var data = group.Rank == source ? tensor(text) : empty(length.item<long>(), dtype: ScalarType.Byte);
        group.Broadcast(data, source);
        return JsonSerializer.Deserialize<T>(data.data<byte>().ToArray())!;
    }
}
