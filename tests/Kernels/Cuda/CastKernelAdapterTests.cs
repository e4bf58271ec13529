using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using Titan.Kernels.Cuda;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Cuda;

/// <summary>The CUDA casts behind the engine's interface, run by the emulation: every method gives what the plain chain gives.</summary>
[Collection(NativeCollection.Name)]
public sealed class CastKernelAdapterTests(NativeBuild build)
{
    [FactWithTools("g++")]
    public void Every_method_of_the_interface_agrees_with_the_plain_chain()
    {
        using var scope = NewDisposeScope();
        ITransposingCastKernels cuda = new CudaCastKernels(() => new CudaCasts(build.Launcher("forward")));
        var plain = CastKernels.Plain;
        manual_seed(3);
        foreach (var type in new[] { ScalarType.BFloat16, ScalarType.Float32 })
        {
            var x = (randn(64, 96) * 30).to(type);
            Same(plain.Amax(x), cuda.Amax(x));
            foreach (var dimension in new[] { 0, 1 })
            {
                var amax = plain.AmaxAlong(x, dimension);
                Same(amax, cuda.AmaxAlong(x, dimension));
                var scale = 448 / amax;
                var cast = plain.Cast(x, scale, Float8Format.E4M3);
                Assert.Equal(Bytes(cast), Bytes(cuda.Cast(x, scale, Float8Format.E4M3)));
                var (both, transposed) = cuda.CastBoth(x, scale, Float8Format.E4M3);
                Assert.Equal(Bytes(cast), Bytes(both));
                foreach (var turned in new[] { transposed, cuda.CastTransposed(x, scale, Float8Format.E4M3) })
                {
                    Assert.True(turned.is_contiguous());
                    Assert.Equal(Bytes(cast.t()), Bytes(turned));
                }

                foreach (var length in new[] { 32, 16 })
                {
                    var (expected, expectedScale) = plain.CastBlocks(x, dimension, length, Float8Format.E4M3, ScaleRounding.RoundUp);
                    var (data, scales) = cuda.CastBlocks(x, dimension, length, Float8Format.E4M3, ScaleRounding.RoundUp);
                    Assert.Equal(expectedScale.shape, scales.shape);
                    Assert.Equal(Bytes(expected), Bytes(data));
                    Assert.Equal(Bytes(expectedScale), Bytes(scales));
                    Same(plain.DecodeBlocks(expected, expectedScale, type), cuda.DecodeBlocks(data, scales, type));
                }
            }

            var bytes = plain.Cast(x, tensor(3f), Float8Format.E5M2);
            Assert.Equal(Bytes(bytes), Bytes(cuda.Cast(x, tensor(3f), Float8Format.E5M2)));
            Same(plain.Decode(bytes, type), cuda.Decode(bytes, type));
            Same(plain.Rescale(x, tensor(2f), rand(1, 96) * 0 + 3, type), cuda.Rescale(x, tensor(2f), rand(1, 96) * 0 + 3, type));
        }
    }

    private static void Same(Tensor expected, Tensor actual) => Assert.Equal(0, expected.ne(actual).sum().item<long>());

    private static byte[] Bytes(Tensor x) => AtenGateway.ViewDtype(x.contiguous(), ScalarType.Byte).data<byte>().ToArray();
}
