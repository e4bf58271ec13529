using Titan.Kernels.Casts;
using Titan.Kernels.Simd;
using static TorchSharp.torch;

namespace Titan.Kernels.ModelOps;

/// <summary>
/// The magnitudes that a kernel leaves beside its result, one for each part of its work: the largest of them is the result's amax. A part looks at what it has just
/// written, while that lies in the cache. Not asked for, it does nothing.
/// </summary>
internal readonly unsafe struct AmaxParts
{
    private readonly float* parts;

    private AmaxParts(Tensor? tensor)
    {
        Tensor = tensor;
        parts = tensor is null ? null : (float*)CpuMemory.Pointer(tensor);
    }

    /// <summary>fp32 [P]; null if nobody asked. Whoever uses the parts keeps it alive.</summary>
    public Tensor? Tensor { get; }

    /// <summary>Elements of an element-wise kernel after which it looks at them: what it has written lies in the cache of the first level then.</summary>
    public static long Stretch => 4096;

    /// <summary>For so many parts, each 0 so far.</summary>
    public static AmaxParts For(bool wanted, int count) => new(wanted ? zeros(count) : null);

    /// <summary>Takes elements into a part's magnitude; NaN wins.</summary>
    public void Include<TElement>(int part, byte* written, long count, SimdPath path) where TElement : struct, IElement
    {
        if (parts is not null) parts[part] = Magnitude.Larger(parts[part], Magnitude.Of<TElement>(written, count, path));
    }
}
