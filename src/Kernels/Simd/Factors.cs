using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Titan.Kernels.Simd;

/// <summary>What the elements of a row are multiplied by: one number, or one for each column.</summary>
internal interface IFactors
{
    float At(long column);

    Vector256<float> At8(long column);

    Vector512<float> At16(long column);
}

internal readonly struct OneFactor(float value) : IFactors
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float At(long column) => value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector256<float> At8(long column) => Vector256.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<float> At16(long column) => Vector512.Create(value);
}

internal readonly unsafe struct FactorPerColumn(float* values) : IFactors
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float At(long column) => values[column];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector256<float> At8(long column) => Vector256.Load(values + column);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<float> At16(long column) => Vector512.Load(values + column);
}

/// <summary>A row's factor times each column's, the two multiplied first.</summary>
internal readonly unsafe struct FactorPerRowAndColumn(float row, float* columns) : IFactors
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float At(long column) => row * columns[column];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector256<float> At8(long column) => Vector256.Create(row) * Vector256.Load(columns + column);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<float> At16(long column) => Vector512.Create(row) * Vector512.Load(columns + column);
}
