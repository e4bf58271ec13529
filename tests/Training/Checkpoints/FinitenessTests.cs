using System.Runtime.InteropServices;
using CsCheck;
using Titan.Abstractions;
using Titan.Parallelism.Tests;
using Titan.Training.Checkpoints;
using static TorchSharp.torch;

namespace Titan.Training.Tests.Checkpoints;

/// <summary>What is not finite is neither saved nor loaded, and is named.</summary>
public sealed class FinitenessTests : IDisposable
{
    private static readonly ScalarType[] Floats = [ScalarType.Float64, ScalarType.Float32, ScalarType.Float16, ScalarType.BFloat16];

    private static readonly double[] Values = [double.NaN, double.PositiveInfinity, double.NegativeInfinity, 0, -0.0, 65504, -1e-40];

    private readonly TestFolder folder = new();
    private readonly List<string> warnings = [];

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_number_that_is_not_finite_is_found_in_a_tensor_of_any_dtype_and_place_and_in_its_bytes() =>
        Gen.Select(Gen.Int[1, 300], Gen.Double[0, 1], Gen.Int[0, Floats.Length - 1].Select(i => Floats[i]), Gen.Int[0, Values.Length - 1].Select(i => Values[i]))
            .Sample((length, at, type, value) =>
            {
                using var scope = NewDisposeScope();
                var values = Enumerable.Range(0, length).Select(i => Math.Sin(i) * 1000).ToArray();
                values[(int)(at * (length - 1))] = value;
                var made = tensor(values, ScalarType.Float64).to(type);
                var other = zeros(2, 2);
                Assert.Equal(double.IsFinite(value) ? null : "w", Finiteness.FirstNonFinite([TensorPart.Whole("other", other), TensorPart.Whole("w", made)]));
                Assert.Equal(!double.IsFinite(value), StoredFloats.HasNonFinite(type, made.bytes));
                var numbers = made.nan_to_num(0, 0, 0);
                Assert.Equal(numbers.to(ScalarType.Float64).data<double>().ToArray().Any(v => v < 0) ? "w" : null, Finiteness.FirstNegative([TensorPart.Whole("w", numbers)]));
            }, iter: 300, threads: 1, seed: "0000KOIPe036");

    [Fact]
    public void Bytes_of_floats_are_finite_where_dotnet_says_so() => Gen.Byte.Array[0, 200].Sample(bytes =>
    {
        Assert.Equal(MemoryMarshal.Cast<byte, float>(bytes).ToArray().Any(f => !float.IsFinite(f)), StoredFloats.HasNonFinite(ScalarType.Float32, bytes));
        Assert.Equal(MemoryMarshal.Cast<byte, double>(bytes).ToArray().Any(f => !double.IsFinite(f)), StoredFloats.HasNonFinite(ScalarType.Float64, bytes));
        Assert.Equal(MemoryMarshal.Cast<byte, Half>(bytes).ToArray().Any(f => !Half.IsFinite(f)), StoredFloats.HasNonFinite(ScalarType.Float16, bytes));
        Assert.False(StoredFloats.HasNonFinite(ScalarType.Int32, bytes));
    }, iter: 2000, threads: 1, seed: "0000KOIPe036");

    [Fact]
    public void Numbers_of_no_dtype_of_weights_and_empty_tensors_are_finite()
    {
        using var scope = NewDisposeScope();
        Assert.Null(Finiteness.FirstNonFinite([TensorPart.Whole("none", zeros(0, 3)), TensorPart.Whole("bytes", full(3, 255, dtype: ScalarType.Byte))]));
        Assert.Null(Finiteness.FirstNonFinite([]));
    }

    [Theory]
    [InlineData("model.safetensors")]
    [InlineData("optimizer.safetensors")]
    public void A_tensor_that_is_not_finite_is_not_saved_and_the_checkpoint_before_stays(string file)
    {
        using var store = new CheckpointStore(folder.At("run"), 2, writable: true, warnings.Add);
        store.SaveSmall(2);
        store.SaveSmall(3);
        using var good = zeros(4, 3);
        using var bad = zeros(4, 3);
        bad[2, 1] = double.PositiveInfinity;
        var error = Assert.Throws<TitanException>(() => store.Save(4, new CheckpointContents(
            new[] { "model.safetensors", "optimizer.safetensors" }.ToDictionary(f => f, f => (IReadOnlyList<TensorPart>)[TensorPart.Whole("v", good), TensorPart.Whole("w", f == file ? bad : good)]),
            new Dictionary<string, string>(), new Dictionary<string, string>())));
        Assert.Equal(ExitCode.RunFailed, error.Code);
        Assert.Contains($"step 4: w ({file}) holds NaN or infinity, so no checkpoint is saved: step-3 stays the newest", error.Message, StringComparison.Ordinal);
        Assert.Equal([3, 2], store.Steps);
        Assert.Equal([".lock", "step-2", "step-3"], Directory.EnumerateFileSystemEntries(folder.At("run")).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal));
        Assert.True(store.OpenNewest()!.IsWhole());
    }

    [Fact]
    public void What_is_not_finite_on_one_rank_ends_the_save_on_all_with_one_message()
    {
        var errors = ThreadRanks.Run(4, world =>
        {
            using var scope = NewDisposeScope();
            using var store = new CheckpointStore(folder.At("run"), 0, writable: true, warnings.Add, world);
            var part = full(1, 3, world.Rank == 2 ? double.NaN : 1);
            return Assert.Throws<TitanException>(() => store.Save(7, new CheckpointContents(
                new Dictionary<string, IReadOnlyList<TensorPart>> { ["model.safetensors"] = [new TensorPart("w", part, new ShardLayout([4, 3], [world.Rank, 0], [1, 3]))] },
                new Dictionary<string, string>(), new Dictionary<string, string>()))).Message;
        });
        Assert.Contains("step 7: w (model.safetensors) holds NaN or infinity, so no checkpoint is saved: there is none yet", Assert.Single(errors.Distinct()), StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateDirectories(folder.At("run")));
    }

    [Fact]
    public void One_that_an_earlier_version_saved_is_set_aside_and_the_one_before_it_is_loaded_on_all_ranks()
    {
        using (var store = new CheckpointStore(folder.At("run"), 0, writable: true, warnings.Add))
        {
            store.SaveSmall(2);
            store.SaveSmall(5);
        }

        SmallCheckpoint.Rewrite(folder.At("run", "step-5"), "optimizer.safetensors", b =>
        {
            BitConverter.TryWriteBytes(b.AsSpan(b.Length - 8), float.NaN);
            return b;
        });
        Assert.Contains("w (optimizer.safetensors) holds NaN or infinity", Assert.Throws<TitanException>(() => CheckpointStore.OpenFolder(folder.At("run", "step-5"))).Message, StringComparison.Ordinal);
        var steps = ThreadRanks.Run(3, world =>
        {
            using var store = new CheckpointStore(folder.At("run"), 0, writable: true, w => { lock (warnings) warnings.Add(w); }, world);
            return store.OpenNewest()!.Manifest.Step;
        });
        Assert.All(steps, s => Assert.Equal(2, s));
        Assert.Contains("(w (optimizer.safetensors) holds NaN or infinity) and was renamed to step-5.corrupt; falling back to step-2", Assert.Single(warnings), StringComparison.Ordinal);
    }
}
