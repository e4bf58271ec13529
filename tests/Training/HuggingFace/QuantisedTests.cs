using System.Text.Json.Nodes;
using Titan.Abstractions;
using Titan.Models;
using Titan.Parallelism.Tests;
using Titan.Training.Checkpoints;
using Titan.Training.HuggingFace;
using static TorchSharp.torch;

namespace Titan.Training.Tests.HuggingFace;

/// <summary>Weights that are stored as codes and scales: each number is what the format's definition says, for any part of a tensor.</summary>
public sealed class QuantisedTests : IDisposable
{
    private static readonly long[] Float8Shape = [200, 300], Mx4Shape = [3, 5, 96];

    // OCP Microscaling Formats: e2m1 by its code.
    private static readonly double[] Mx4Values = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6];

    private readonly TestFolder folder = new();
    private readonly List<string> warnings = [];

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData(1, "rows")]
    [InlineData(3, "rows")]
    [InlineData(4, "columns")]
    public void Codes_times_scales_are_the_weights_whatever_part_a_rank_has(int ranks, string how)
    {
        using var scope = NewDisposeScope();
        var expected = Write();
        var whole = expected.Select(e => TensorPart.Whole(e.Key, e.Value)).ToList();
        _ = ThreadRanks.Run(ranks, world =>
        {
            using var inner = NewDisposeScope();
            var own = SmallFolder.Split(whole, how, world);
            List<TensorPart> targets = [.. own.Select(p => p with { Tensor = full([.. p.Layout.Shape], double.NaN) })];
            HuggingFaceWeights.Open(folder.Path, "key", "test", Format, _ => { }, world, quantised: true).Load(targets);
            foreach (var (right, actual) in own.Zip(targets)) Assert.True(right.Tensor.eq(actual.Tensor).all().item<bool>(), right.Name);
            return 0;
        });
    }

    [Fact]
    public void Without_the_key_they_are_refused_with_it() =>
        Assert.Contains("2 tensors are quantised (a.weight, b_blocks): set checkpoint.initial_load_in_hf_quantized = true to read them", Refused(quantised: false, _ => { }), StringComparison.Ordinal);

    [Fact]
    public void The_key_without_such_weights_is_warned_of()
    {
        using var scope = NewDisposeScope();
        SmallFolder.Write(folder.At("plain"), SmallFolder.Weights());
        HuggingFaceWeights.Open(folder.At("plain"), "key", "test", SmallFolder.Format, warnings.Add, quantised: true);
        Assert.Contains("initial_load_in_hf_quantized has no effect", Assert.Single(warnings), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("scale", "a.weight_scale_inv is F32 [2, 2], expected F32 [2, 3]")]
    [InlineData("scale dtype", "b_scales is F32 [3, 5, 3], expected U8 [3, 5, 3]")]
    [InlineData("no scale", "a.weight is F8_E4M3 without scales; expected F32, BF16 or F16")]
    [InlineData("bytes", "b_blocks is [3, 5, 3, 8], expected [..., 16]")]
    public void Scales_that_do_not_fit_are_refused_by_name(string fault, string says) => Assert.Contains(says, Refused(quantised: true, tensors =>
    {
        switch (fault)
        {
            case "scale": tensors["a.weight_scale_inv"] = ones(2, 2); break;
            case "scale dtype": tensors["b_scales"] = ones(3, 5, 3); break;
            case "no scale": tensors.Remove("a.weight_scale_inv"); break;
            default: tensors["b_blocks"] = zeros(3, 5, 3, 8, dtype: ScalarType.Byte); break;
        }
    }), StringComparison.Ordinal);

    private static HuggingFaceFormat Format { get; } = new(
        new StateDictAdapter([new TensorRule.Renamed("a", Float8Shape, "a.weight"), new TensorRule.Slice("b", Mx4Shape, "b", [3, 96, 5], 0, 0, IsTransposed: true)]),
        new HuggingFaceConfig([new("model_type", "test")]))
    {
        Quantised = new StateDictAdapter([new TensorRule.Renamed("a", Float8Shape, "a.weight"), new TensorRule.Renamed("b", Mx4Shape, "b_blocks")]),
    };

    private string Refused(bool quantised, Action<Dictionary<string, Tensor>> change)
    {
        using var scope = NewDisposeScope();
        _ = Write(change);
        return Assert.Throws<TitanException>(() => HuggingFaceWeights.Open(folder.Path, "key", "test", Format, _ => { }, quantised: quantised)).Message;
    }

    /// <summary>Writes a folder and returns its weights, computed one by one.</summary>
    private Dictionary<string, Tensor> Write(Action<Dictionary<string, Tensor>>? change = null)
    {
        var random = new Random(1);
        Tensor codes8 = randn(Float8Shape).mul_(100).clamp_(-448, 448).to(Float8Format.E4M3.Type), factors = rand(2, 3).add_(0.01), b = zeros(Mx4Shape);
        var (codes4, powers) = (new byte[3 * 5 * 3 * 16], new byte[3 * 5 * 3]);
        random.NextBytes(codes4);
        for (var i = 0; i < powers.Length; i++) powers[i] = (byte)random.Next(117, 137);
        Tensor wide = codes8.to(ScalarType.Float32), a = zeros(Float8Shape);
        for (var n = 0; n < Float8Shape[0]; n++)
            for (var k = 0; k < Float8Shape[1]; k++) a[n, k] = wide[n, k].item<float>() * factors[n / 128, k / 128].item<float>();
        for (var i = 0; i < codes4.Length * 2; i++)
        {
            var code = i % 2 == 0 ? codes4[i / 2] & 15 : codes4[i / 2] >> 4;
            b.view(-1)[i] = (float)(Mx4Values[code] * Math.Pow(2, powers[i / 32] - 127));
        }

        var tensors = new Dictionary<string, Tensor>
        {
            ["a.weight"] = codes8, ["a.weight_scale_inv"] = factors, ["b_blocks"] = tensor(codes4, dtype: ScalarType.Byte).reshape(3, 5, 3, 16), ["b_scales"] = tensor(powers, dtype: ScalarType.Byte).reshape(3, 5, 3),
        };
        change?.Invoke(tensors);
        SafetensorsFile.Write(folder.At(HuggingFaceFolder.SingleName), [.. tensors.Select(t => (t.Key, t.Value))]);
        File.WriteAllText(folder.At(HuggingFaceFolder.ConfigName), new JsonObject { ["model_type"] = "test", ["quantization_config"] = new JsonObject { ["weight_block_size"] = new JsonArray(128, 128) } }.ToJsonString());
        return new() { ["a"] = a, ["b"] = b };
    }
}
