namespace Titan.Kernels.Casts;

/// <summary>Float8 to bf16 by table: all 256 values of either format are exact in bf16.</summary>
internal static unsafe class Float8Decoder
{
    /// <summary>bf16 bit patterns of the 256 codes.</summary>
    public static ushort[] E4M3 { get; } = Table(exponentBits: 4, bias: 7, hasInfinity: false);

    /// <summary>bf16 bit patterns of the 256 codes.</summary>
    public static ushort[] E5M2 { get; } = Table(exponentBits: 5, bias: 15, hasInfinity: true);

    public static void Decode(ushort[] table, byte* source, ushort* target, long count)
    {
        fixed (ushort* entry = table)
        {
            long i = 0;
            for (; i + 8 <= count; i += 8)
            {
                // One load for eight codes; eight independent look-ups.
                var codes = *(ulong*)(source + i);
                target[i] = entry[(byte)codes];
                target[i + 1] = entry[(byte)(codes >> 8)];
                target[i + 2] = entry[(byte)(codes >> 16)];
                target[i + 3] = entry[(byte)(codes >> 24)];
                target[i + 4] = entry[(byte)(codes >> 32)];
                target[i + 5] = entry[(byte)(codes >> 40)];
                target[i + 6] = entry[(byte)(codes >> 48)];
                target[i + 7] = entry[(byte)(codes >> 56)];
            }

            for (; i < count; i++) target[i] = entry[source[i]];
        }
    }

    private static ushort[] Table(int exponentBits, int bias, bool hasInfinity)
    {
        var table = new ushort[256];
        var mantissaBits = 7 - exponentBits;
        var top = (1 << exponentBits) - 1;
        for (var code = 0; code < 256; code++)
        {
            var exponent = (code & 0x7f) >> mantissaBits;
            var mantissa = code & ((1 << mantissaBits) - 1);
            var magnitude = exponent == 0
                ? mantissa * Math.Pow(2, 1 - bias - mantissaBits)
                : (1 + mantissa / (double)(1 << mantissaBits)) * Math.Pow(2, exponent - bias);
            if (hasInfinity && exponent == top) magnitude = mantissa == 0 ? double.PositiveInfinity : double.NaN;
            if (!hasInfinity && (code & 0x7f) == 0x7f) magnitude = double.NaN;
            var bits = double.IsNaN(magnitude) ? 0x7fc00000u : BitConverter.SingleToUInt32Bits((float)magnitude);
            table[code] = (ushort)((bits >> 16) | (uint)((code & 0x80) << 8));
        }

        return table;
    }
}
