using System.Numerics;
using System.Runtime.CompilerServices;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Distributed.Collectives;

/// <summary>Combines the ranks' values in rank order: ((rank 0 + rank 1) + rank 2) ..., so the result depends on nothing but the values.</summary>
internal static unsafe class Reduction
{
    /// <summary>Elements combined before the next rank's values are read: they stay in the first-level cache.</summary>
    private const int Tile = 2048;

    /// <param name="type">Float32, Float64, Int32, Int64; BFloat16 for sums.</param>
    /// <param name="operation">How to combine.</param>
    /// <param name="output">May be one of the sources.</param>
    /// <param name="sources">One address per rank, in rank order.</param>
    /// <param name="count">Elements.</param>
    public static void Combine(ScalarType type, ReduceOperation operation, nint output, ReadOnlySpan<nint> sources, long count)
    {
        switch (type)
        {
            case ScalarType.Float32: Typed<float>(operation, output, sources, count); break;
            case ScalarType.Float64: Typed<double>(operation, output, sources, count); break;
            case ScalarType.Int32: Typed<int>(operation, output, sources, count); break;
            case ScalarType.Int64: Typed<long>(operation, output, sources, count); break;
            case ScalarType.BFloat16 when operation == ReduceOperation.Sum: SumBFloat16((ushort*)output, sources, count); break;
            default: throw new ArgumentException($"cannot reduce {Quantities.Type(type)} by {operation}");
        }
    }

    private static void Typed<T>(ReduceOperation operation, nint output, ReadOnlySpan<nint> sources, long count) where T : unmanaged, INumber<T>
    {
        switch (operation)
        {
            case ReduceOperation.Sum: Fold<T, Sum>((T*)output, sources, count); break;
            case ReduceOperation.Max: Fold<T, Max>((T*)output, sources, count); break;
            default: Fold<T, Min>((T*)output, sources, count); break;
        }
    }

    private static void Fold<T, TOperation>(T* output, ReadOnlySpan<nint> sources, long count) where T : unmanaged, INumber<T> where TOperation : IFold
    {
        if (sources.Length == 2)
        {
            Pair<T, TOperation>(output, (T*)sources[0], (T*)sources[1], count);
            return;
        }

        // The tile is apart from the output, which may be a source that is still to be read.
        var tile = stackalloc T[Tile];
        for (long start = 0; start < count; start += Tile)
        {
            var n = Math.Min(Tile, count - start);
            new ReadOnlySpan<T>((T*)sources[0] + start, (int)n).CopyTo(new Span<T>(tile, Tile));
            foreach (var source in sources[1..]) Pair<T, TOperation>(tile, tile, (T*)source + start, n);
            new ReadOnlySpan<T>(tile, (int)n).CopyTo(new Span<T>(output + start, (int)n));
        }
    }

    private static void Pair<T, TOperation>(T* output, T* left, T* right, long count) where T : unmanaged, INumber<T> where TOperation : IFold
    {
        long i = 0;
        for (; i <= count - Vector<T>.Count; i += Vector<T>.Count)
            Unsafe.WriteUnaligned(output + i, TOperation.Of(Unsafe.ReadUnaligned<Vector<T>>(left + i), Unsafe.ReadUnaligned<Vector<T>>(right + i)));
        for (; i < count; i++) output[i] = TOperation.Of(left[i], right[i]);
    }

    /// <summary>Adds in fp32 and rounds once, to nearest even.</summary>
    private static void SumBFloat16(ushort* output, ReadOnlySpan<nint> sources, long count)
    {
        var tile = stackalloc float[Tile];
        for (long start = 0; start < count; start += Tile)
        {
            var n = (int)Math.Min(Tile, count - start);
            new Span<float>(tile, n).Clear();
            foreach (var source in sources)
            {
                var from = (ushort*)source + start;
                var i = 0;
                for (; i <= n - Vector<ushort>.Count; i += Vector<ushort>.Count)
                {
                    Vector.Widen(Unsafe.ReadUnaligned<Vector<ushort>>(from + i), out var low, out var high);
                    Add(tile + i, Vector.AsVectorSingle(low << 16));
                    Add(tile + i + Vector<float>.Count, Vector.AsVectorSingle(high << 16));
                }

                for (; i < n; i++) tile[i] += BitConverter.UInt32BitsToSingle((uint)from[i] << 16);
            }

            var j = 0;
            for (; j <= n - Vector<ushort>.Count; j += Vector<ushort>.Count)
                Unsafe.WriteUnaligned(output + start + j, Vector.Narrow(Round(tile + j), Round(tile + j + Vector<float>.Count)));
            for (; j < n; j++)
            {
                var bits = BitConverter.SingleToUInt32Bits(tile[j]);
                output[start + j] = float.IsNaN(tile[j]) ? (ushort)0x7fc0 : (ushort)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
            }
        }

        static void Add(float* sum, Vector<float> values) => Unsafe.WriteUnaligned(sum, Unsafe.ReadUnaligned<Vector<float>>(sum) + values);

        static Vector<uint> Round(float* sum)
        {
            var values = Unsafe.ReadUnaligned<Vector<float>>(sum);
            var bits = Vector.AsVectorUInt32(values);
            var rounded = (bits + new Vector<uint>(0x7fff) + ((bits >> 16) & Vector<uint>.One)) >> 16;
            return Vector.ConditionalSelect(Vector.AsVectorUInt32(Vector.Equals(values, values)), rounded, new Vector<uint>(0x7fc0));
        }
    }

    private interface IFold
    {
        static abstract Vector<T> Of<T>(Vector<T> left, Vector<T> right) where T : unmanaged, INumber<T>;

        static abstract T Of<T>(T left, T right) where T : unmanaged, INumber<T>;
    }

    private readonly struct Sum : IFold
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector<T> Of<T>(Vector<T> left, Vector<T> right) where T : unmanaged, INumber<T> => left + right;

        public static T Of<T>(T left, T right) where T : unmanaged, INumber<T> => unchecked(left + right);
    }

    /// <summary>NaN wins, as in IEEE 754's maximum.</summary>
    private readonly struct Max : IFold
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector<T> Of<T>(Vector<T> left, Vector<T> right) where T : unmanaged, INumber<T> => Vector.Max(left, right);

        public static T Of<T>(T left, T right) where T : unmanaged, INumber<T> => T.Max(left, right);
    }

    /// <summary>NaN wins, as in IEEE 754's minimum.</summary>
    private readonly struct Min : IFold
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector<T> Of<T>(Vector<T> left, Vector<T> right) where T : unmanaged, INumber<T> => Vector.Min(left, right);

        public static T Of<T>(T left, T right) where T : unmanaged, INumber<T> => T.Min(left, right);
    }
}
