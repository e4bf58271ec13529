using CsCheck;
using Titan.Abstractions;
using Titan.Models;
using Titan.Models.Llama3;
using Titan.Training.Checkpoints;
using static TorchSharp.torch;

namespace Titan.Training.Tests.Models;

/// <summary>The mapping to Hugging Face's layout: by slices as by whole tensors, and there and back.</summary>
public sealed class HuggingFaceTests
{
    [Fact]
    public void The_tensors_are_those_that_upstreams_adapter_makes()
    {
        using var scope = NewDisposeScope();
        var adapter = new Llama3Args(32, 2, 4, 2, 64, MultipleOf: 32).Flavor.HuggingFace!().Tensors;
        var ours = Golden("llama3").Where(t => t.Key.StartsWith("weight.", StringComparison.Ordinal)).ToDictionary(t => t.Key["weight.".Length..], t => t.Value);
        var theirs = Golden("llama3.hf");
        Assert.Equal(theirs.ToDictionary(t => t.Key, t => string.Join(',', t.Value.shape)), adapter.Foreign.ToDictionary(t => t.Key, t => string.Join(',', t.Value)));
        foreach (var (fqn, tensor) in ours)
        {
            using var loaded = full_like(tensor, double.NaN);
            foreach (var piece in adapter.PiecesOf(fqn, ShardLayout.Whole(tensor.shape))) piece.CopyInto(loaded, BoxOf(theirs, piece));
            Assert.True(loaded.eq(tensor).all().item<bool>(), fqn);
        }
    }

    [Fact]
    public void Any_parts_of_a_rotated_projection_come_from_and_go_to_what_the_whole_tensor_gives() =>
        Gen.Select(Gen.Int[1, 4], Gen.Int[1, 4], Gen.Int[1, 5], Gen.Int[1, 5], Gen.Int[1, 3], Gen.Bool).Sample((heads, half, columns, rowParts, columnParts, isBias) =>
        {
            using var scope = NewDisposeScope();
            long d = 2 * half, rows = heads * d;
            long[] shape = isBias ? [rows] : [rows, columns];
            var whole = arange(shape.Aggregate((a, b) => a * b), dtype: ScalarType.Float32).reshape(shape);
            // Upstream's way with a whole tensor: [heads, D / 2, 2, in], the middle two change places.
            var expected = whole.reshape(heads, half, 2, -1).transpose(1, 2).reshape(shape);
            RoundTrip(new StateDictAdapter([new TensorRule.RotaryRows("w", shape, "theirs", d)]), whole, new() { ["theirs"] = expected }, rowParts, columnParts);
        });

    [Fact]
    public void Any_parts_of_tensors_that_are_one_and_transposed_there_come_from_and_go_to_it() =>
        Gen.Select(Gen.Int[1, 6], Gen.Int[1, 6], Gen.Int[1, 4], Gen.Int[1, 4], Gen.Bool).Sample((n, k, rowParts, columnParts, second) =>
        {
            using var scope = NewDisposeScope();
            Tensor a = arange(n * k, dtype: ScalarType.Float32).reshape(n, k), b = a + 100;
            var joined = cat([a.t(), b.t()], 1);        // [K, 2N]
            var adapter = new StateDictAdapter(
            [
                new TensorRule.Slice("a", [n, k], "joined", [k, 2 * n], 0, 0, IsTransposed: true), new TensorRule.Slice("b", [n, k], "joined", [k, 2 * n], 0, n, IsTransposed: true),
            ]);
            Assert.Equal("joined", Assert.Single(adapter.Foreign).Key);
            RoundTrip(adapter, second ? b : a, new() { ["joined"] = joined }, rowParts, columnParts, second ? "b" : "a");
        });

    [Fact]
    public void Any_parts_of_experts_come_from_and_go_to_tensors_of_their_own() =>
        Gen.Select(Gen.Int[1, 4], Gen.Int[1, 4], Gen.Int[1, 4], Gen.Int[1, 4], Gen.Int[1, 3]).Sample((experts, n, k, rowParts, columnParts) =>
        {
            using var scope = NewDisposeScope();
            var whole = arange(experts * n * k, dtype: ScalarType.Float32).reshape(experts, n, k);
            RoundTrip(new StateDictAdapter([new TensorRule.Stacked("w", [experts, n, k], e => $"experts.{e}")]), whole, Enumerable.Range(0, experts).ToDictionary(e => $"experts.{e}", e => whole[e]), rowParts, columnParts);
        });

    [Fact]
    public void A_tensor_that_the_layout_does_not_know_and_another_shape_are_refused()
    {
        var adapter = new Llama3Args(32, 1, 4, 2, 64, MultipleOf: 32).Flavor.HuggingFace!().Tensors;
        Assert.Contains("'layers.1.attention.wq.weight' has no place", Refusal("layers.1.attention.wq.weight", [32, 32]), StringComparison.Ordinal);
        Assert.Contains("is [64, 64] in the model; the other layout is for [32, 32]", Refusal("layers.0.attention.wq.weight", [64, 64]), StringComparison.Ordinal);

        string Refusal(string fqn, long[] shape)
        {
            var error = Assert.Throws<TitanException>(() => adapter.PiecesOf(fqn, ShardLayout.Whole(shape)));
            Assert.Equal(ExitCode.Data, error.Code);
            return error.Message;
        }
    }

    /// <summary>Splits a tensor into parts of rows and columns, and moves each of them both ways.</summary>
    private static void RoundTrip(StateDictAdapter adapter, Tensor whole, Dictionary<string, Tensor> theirs, int rowParts, int columnParts, string fqn = "w")
    {
        var written = theirs.ToDictionary(t => t.Key, t => full_like(t.Value, double.NaN));
        foreach (var part in Split(ShardLayout.Whole(whole.shape), 0, rowParts).SelectMany(p => whole.dim() > 1 ? Split(p, (int)whole.dim() - 1, columnParts) : [p]))
        {
            using var expected = part.Of(whole);
            using var loaded = full([.. part.Shape], double.NaN);
            var pieces = adapter.PiecesOf(fqn, part);
            Assert.Equal(loaded.numel(), pieces.Sum(p => p.Shape.Aggregate(1L, (a, b) => a * b)));
            foreach (var piece in pieces)
            {
                piece.CopyInto(loaded, BoxOf(theirs, piece));
                BoxOf(written, piece).copy_(piece.TakeFrom(expected));
            }

            Assert.True(loaded.eq(expected).all().item<bool>(), $"{part}");
        }

        // What other tensors of ours hold there stays untouched.
        foreach (var (name, tensor) in written) Assert.True(tensor.isnan().logical_or(tensor.eq(theirs[name])).all().item<bool>(), name);
        Assert.Equal(whole.numel(), written.Values.Sum(t => t.isfinite().sum().item<long>()));
    }

    private static IEnumerable<ShardLayout> Split(ShardLayout whole, int dimension, int parts)
    {
        var each = (whole.Shape[dimension] + parts - 1) / parts;
        for (var at = 0L; at < whole.Shape[dimension]; at += each) yield return whole.Narrow(dimension, at, Math.Min(each, whole.Shape[dimension] - at));
    }

    private static Tensor BoxOf(IReadOnlyDictionary<string, Tensor> tensors, TensorPiece piece) => new ShardLayout(tensors[piece.Foreign].shape, piece.Offset, piece.Shape).Of(tensors[piece.Foreign]);

    internal static Dictionary<string, Tensor> Golden(string name)
    {
        var path = Path.Combine(AppContext.BaseDirectory, "golden", $"{name}.safetensors");
        return SafetensorsFile.ReadHeader(path).ToDictionary(e => e.Key, e => SafetensorsFile.Read(path, e.Value));
    }
}
