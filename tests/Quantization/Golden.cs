using System.Buffers.Binary;
using System.Text.Json;
using Titan.Kernels.Aten;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests;

/// <summary>What the reference implementation computed, by name.</summary>
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

    public static Golden Tensorwise { get; } = new("float8_tensorwise.safetensors");

    /// <summary>The names of the cases: what stands before <c>.tensorwise</c>.</summary>
    public IEnumerable<string> Cases => header.EnumerateObject().Where(p => p.Name.EndsWith(".x", StringComparison.Ordinal)).Select(p => p.Name[..^2]);

    public Tensor this[string name]
    {
        get
        {
            var entry = header.GetProperty(name);
            var ends = entry.GetProperty("data_offsets").EnumerateArray().Select(e => e.GetInt32() + start).ToArray();
            var shape = entry.GetProperty("shape").EnumerateArray().Select(e => e.GetInt64()).ToArray();
            // Copied by a type of the same size first: there is no array of bf16 or float8.
            var bytes = file.AsSpan(ends[0], ends[1] - ends[0]);
            return entry.GetProperty("dtype").GetString() switch
            {
                "F32" => tensor(System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(bytes).ToArray()).reshape(shape),
                "BF16" => AtenGateway.ViewDtype(tensor(System.Runtime.InteropServices.MemoryMarshal.Cast<byte, short>(bytes).ToArray()), ScalarType.BFloat16).reshape(shape),
                _ => tensor(bytes.ToArray()).reshape(shape),
            };
        }
    }
}
