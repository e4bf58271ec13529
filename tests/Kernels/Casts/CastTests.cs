using System.Runtime.InteropServices;
using CsCheck;
using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using Titan.Kernels.Simd;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Casts;

public class CastTests
{
    private static readonly float[] Scales = [1f, 448f, 0.37f, 1e-3f, 65536f, 4.48e14f, 1.4933333e-36f, 0f, float.NaN];

    public static TheoryData<string, string> Kernels()
    {
        var data = new TheoryData<string, string>();
        foreach (var kernels in new[] { "plain", "Portable", "Vector256", "Vector512" })
            foreach (var format in new[] { "e4m3", "e5m2" })
                data.Add(kernels, format);
        return data;
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void EveryBFloat16RoundsAsTheSpecificationSays(string name, string format)
    {
        using var scope = NewDisposeScope();
        var x = BFloat16(Enumerable.Range(0, 65536).Select(i => (ushort)i));
        var values = Enumerable.Range(0, 65536).Select(i => BitConverter.UInt32BitsToSingle((uint)i << 16)).ToArray();
        foreach (var scale in Scales) Check(name, format, x, values, scale);
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Float32RoundsAsTheSpecificationSays(string name, string format)
    {
        using var scope = NewDisposeScope();
        // Every 4099th pattern (a prime, so that all low bits occur), every midpoint between neighbours, and the patterns just beside it.
        var (_, oracle) = Format(format);
        var patterns = Enumerable.Range(0, (int)(uint.MaxValue / 4099)).Select(i => (uint)i * 4099).ToList();
        for (byte code = 0; code < 0x7c; code++)
        {
            var middle = BitConverter.SingleToUInt32Bits((float)((oracle.Decode(code) + oracle.Decode((byte)(code + 1))) / 2));
            if (double.IsFinite(oracle.Decode((byte)(code + 1)))) patterns.AddRange([middle - 1, middle, middle + 1, 0x80000000 | middle]);
        }

        patterns.AddRange([0x7f800000, 0xff800000, 0x7f800001, 0x7fc00000, 0xffffffff, 0x80000000, 1, 0x7f7fffff]);
        var values = patterns.Select(BitConverter.UInt32BitsToSingle).ToArray();
        var x = tensor(values);
        foreach (var scale in new[] { 1f, 448f }) Check(name, format, x, values, scale);
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void EveryCodeDecodesToItsValue(string name, string format)
    {
        using var scope = NewDisposeScope();
        var (type, oracle) = Format(format);
        // Three rounds and a rest: 64 at a time, and one at a time.
        var codes = Enumerable.Range(0, 256 * 3 + 37).Select(i => (byte)i).ToArray();
        var bytes = AtenGateway.ViewDtype(tensor(codes), type.Type);
        foreach (var target in new[] { ScalarType.BFloat16, ScalarType.Float32 })
        {
            var decoded = Named(name).Decode(bytes, target);
            Assert.Equal(target, decoded.dtype);
            var result = decoded.to(ScalarType.Float32).data<float>().ToArray();
            for (var i = 0; i < codes.Length; i++)
            {
                var expected = oracle.Decode(codes[i]);
                Assert.True(double.IsNaN(expected) ? float.IsNaN(result[i]) : expected == result[i] && float.IsNegative(result[i]) == codes[i] >= 0x80,
                    $"code {codes[i]:x2}: expected {expected}, got {result[i]}");
            }
        }
    }

    [Theory]
    [InlineData("plain"), InlineData("Portable"), InlineData("Vector256"), InlineData("Vector512")]
    public void AmaxIsTheLargestMagnitudeAndNaNWins(string name)
    {
        var kernels = Named(name);
        Gen.Select(Gen.Int[1, 200], Gen.Int[0, 10000], Gen.Bool, Gen.Int[0, 2]).Sample((length, seed, wide, special) =>
        {
            using var scope = NewDisposeScope();
            var random = new Random(seed);
            var values = Enumerable.Range(0, length).Select(_ => (float)(random.NextDouble() - 0.5) * 100).ToArray();
            if (special > 0) values[random.Next(length)] = special == 1 ? float.NaN : float.NegativeInfinity;
            var x = tensor(values);
            if (!wide) x = x.to(ScalarType.BFloat16);
            var expected = x.to(ScalarType.Float32).data<float>().ToArray().Max(Math.Abs);
            if (special == 1) expected = float.NaN;
            var amax = kernels.Amax(x);
            Assert.Equal((ScalarType.Float32, 0L), (amax.dtype, amax.dim()));
            Assert.Equal(expected, amax.item<float>());
        }, iter: 200, threads: 1);
    }

    [Theory]
    [InlineData("e4m3"), InlineData("e5m2")]
    public void FusedAndPlainAgreeOnAnyLengthAndView(string format)
    {
        var (type, _) = Format(format);
        Gen.Select(Gen.Int[0, 70], Gen.Int[1, 70], Gen.Bool, Gen.Bool, Gen.Int[0, 10000]).Sample((rows, columns, wide, transposed, seed) =>
        {
            using var scope = NewDisposeScope();
            using var generator = new Generator((ulong)seed);
            var x = randn([rows, columns], generator: generator) * 50;
            if (!wide) x = x.to(ScalarType.BFloat16);
            if (transposed) x = x.t();
            var scale = tensor(3.7f);
            var plain = CastKernels.Plain.Cast(x, scale, type);
            foreach (var path in Enum.GetValues<SimdPath>())
            {
                var fused = new FusedCasts(path);
                var bytes = fused.Cast(x, scale, type);
                Assert.Equal(x.shape, bytes.shape);
                Assert.Equal(Bytes(plain), Bytes(bytes));
                foreach (var target in new[] { ScalarType.BFloat16, ScalarType.Float32 })
                    Assert.Equal(0, CastKernels.Plain.Decode(bytes, target).ne(fused.Decode(bytes, target)).sum().item<long>());
            }
        }, iter: 60, threads: 1);
    }

    [Fact]
    public void ATensorThatIsSplitOverThreadsIsCastWhole()
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        var x = randn([1 << 20, 3]);
        x[(1 << 20) - 1, 2] = -77;
        var amax = CastKernels.Fused.Amax(x);
        Assert.Equal(77f, amax.item<float>());
        var bytes = CastKernels.Fused.Cast(x, tensor(5f), Float8Format.E4M3);
        Assert.Equal(Bytes(CastKernels.Plain.Cast(x, tensor(5f), Float8Format.E4M3)), Bytes(bytes));
        Assert.Equal(0, CastKernels.Plain.Decode(bytes, ScalarType.BFloat16).ne(CastKernels.Fused.Decode(bytes, ScalarType.BFloat16)).sum().item<long>());
    }

    private static void Check(string name, string format, Tensor x, float[] values, float scale)
    {
        var (type, oracle) = Format(format);
        var bytes = Bytes(Named(name).Cast(x, tensor(scale), type));
        for (var i = 0; i < values.Length; i++)
        {
            var expected = oracle.Encode(values[i], scale);
            if (expected == bytes[i] || (expected is null && double.IsNaN(oracle.Decode(bytes[i])))) continue;
            Assert.Fail($"{name} {format}: {values[i]:g9} * {scale:g9}: expected {expected:x2}, got {bytes[i]:x2}");
        }
    }

    internal static ICastKernels Named(string name) => name == "plain" ? CastKernels.Plain : new FusedCasts(Enum.Parse<SimdPath>(name));

    private static (Float8Format Type, Float8Oracle Oracle) Format(string name) =>
        name == "e4m3" ? (Float8Format.E4M3, Float8Oracle.E4M3) : (Float8Format.E5M2, Float8Oracle.E5M2);

    private static Tensor BFloat16(IEnumerable<ushort> patterns) =>
        AtenGateway.ViewDtype(tensor(MemoryMarshal.Cast<ushort, short>(patterns.ToArray()).ToArray()), ScalarType.BFloat16);

    private static byte[] Bytes(Tensor x) => x.numel() == 0 ? [] : AtenGateway.ViewDtype(x.contiguous(), ScalarType.Byte).data<byte>().ToArray();
}
