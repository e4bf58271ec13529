using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;
using Titan.Abstractions;
using Titan.Kernels.Aten;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests;

/// <summary>What the reference implementation computed, by name; the parameters of each case are JSON in the file's metadata.</summary>
internal sealed class Golden
{
    private readonly byte[] file;
    private readonly JsonElement header;
    private readonly int start;

    private Golden(string name)
    {
        file = File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "golden", name));
        start = 8 + (int)BinaryPrimitives.ReadInt64LittleEndian(file);
        header = JsonDocument.Parse(file.AsMemory(8, start - 8)).RootElement;
    }

    public static Golden Float8Linear { get; } = new("float8_linear.safetensors");

    public static Golden Mx { get; } = new("mx.safetensors");

    public static Golden MxLinear { get; } = new("mx_linear.safetensors");

    public static Golden Float8Grouped { get; } = new("fp8_grouped.safetensors");

    public static Golden MxGrouped { get; } = new("mxfp8_grouped.safetensors");

    public static Golden ExpertsQuantised { get; } = new("experts_quantised.safetensors");

    /// <summary>The names of the cases.</summary>
    public IEnumerable<string> Cases => header.GetProperty("__metadata__").EnumerateObject().Select(p => p.Name);

    /// <summary>The names of all tensors.</summary>
    public IEnumerable<string> Names => header.EnumerateObject().Select(p => p.Name).Where(n => n != "__metadata__");

    public JsonElement Parameters(string name) => JsonDocument.Parse(header.GetProperty("__metadata__").GetProperty(name).GetString()!).RootElement;

    public byte[] Bytes(string name)
    {
        var ends = header.GetProperty(name).GetProperty("data_offsets").EnumerateArray().Select(e => e.GetInt32() + start).ToArray();
        return file[ends[0]..ends[1]];
    }

    public Tensor this[string name]
    {
        get
        {
            var shape = header.GetProperty(name).GetProperty("shape").EnumerateArray().Select(e => e.GetInt64()).ToArray();
            // Copied by a type of the same size first: there is no array of bf16 or float8.
            var bytes = Bytes(name);
            return header.GetProperty(name).GetProperty("dtype").GetString() switch
            {
                "F32" => tensor(MemoryMarshal.Cast<byte, float>(bytes).ToArray()).reshape(shape),
                "BF16" => AtenGateway.ViewDtype(tensor(MemoryMarshal.Cast<byte, short>(bytes).ToArray()), ScalarType.BFloat16).reshape(shape),
                "I32" => tensor(MemoryMarshal.Cast<byte, int>(bytes).ToArray()).reshape(shape),
                "I64" => tensor(MemoryMarshal.Cast<byte, long>(bytes).ToArray()).reshape(shape),
                _ => tensor(bytes).reshape(shape),
            };
        }
    }

    /// <summary>Bytes with all NaN codes as one: the sign of a NaN says nothing.</summary>
    public static IEnumerable<byte> Canonical(byte[] codes, Float8Format format) =>
        codes.Select(c => (c & 0x7f) > (format == Float8Format.E4M3 ? 0x7e : 0x7c) ? (byte)0x7f : c);
}
