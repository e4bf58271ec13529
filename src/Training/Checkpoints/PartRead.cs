using Titan.Abstractions;
using Titan.Training.Files;
using static TorchSharp.torch;

namespace Titan.Training.Checkpoints;

/// <summary>A tensor in the files of a checkpoint.</summary>
/// <param name="Type">Its dtype.</param>
/// <param name="Shape">Shape of the whole.</param>
/// <param name="Parts">Its parts, with the file that each is in.</param>
public sealed record StoredTensor(ScalarType Type, IReadOnlyList<long> Shape, List<(string Path, SafetensorsFile.Entry Entry)> Parts)
{
    /// <summary>Bytes of the whole.</summary>
    internal long Bytes => SafetensorsHeader.BytesOf(Type, Shape);
}

/// <summary>A box that is to be read from a part in a file into a part that this rank holds.</summary>
/// <param name="Path">The file.</param>
/// <param name="Entry">The part in the file.</param>
/// <param name="Box">What both have, in indices of the whole tensor.</param>
/// <param name="Target">The part that this rank holds.</param>
internal sealed record PartRead(string Path, SafetensorsFile.Entry Entry, Box Box, TensorPart Target)
{
    /// <summary>What to read so that every element of <paramref name="target"/> is read once, whatever parts there are, overlapping ones included.</summary>
    /// <param name="stored">The parts in the files.</param>
    /// <param name="target">The part to fill.</param>
    /// <param name="lacking">Makes the error for a box that is in no file.</param>
    public static IReadOnlyList<PartRead> Plan(StoredTensor stored, TensorPart target, Func<Box, Exception> lacking)
    {
        var reads = new List<PartRead>();
        var wanted = Box.Of(target.Layout);
        List<Box> left = wanted.IsEmpty ? [] : [wanted];
        foreach (var (path, entry) in stored.Parts)
        {
            if (left.Count == 0) break;
            var part = Box.Of(entry.Layout);
            var rest = new List<Box>();
            foreach (var box in left)
            {
                if (box.Intersect(part) is not { } common)
                {
                    rest.Add(box);
                    continue;
                }

                reads.Add(new PartRead(path, entry, common, target));
                rest.AddRange(box.Without(common));
            }

            left = rest;
        }

        return left.Count == 0 ? reads : throw lacking(left[0]);
    }

    /// <summary>Reads, file by file from front to back, one box at a time.</summary>
    public static void Run(IReadOnlyList<PartRead> reads)
    {
        foreach (var file in reads.GroupBy(r => r.Path))
        {
            using var stream = RegularFile.OpenRead(file.Key, followLinks: false);
            foreach (var read in file.OrderBy(r => r.Entry.Begin))
            {
                using var none = no_grad();
                using var scope = NewDisposeScope();
                var layout = read.Target.Layout;
                var place = new ShardLayout(layout.Shape, Relative(read.Box.Offset, layout.Offset), read.Box.Shape).Of(read.Target.Tensor);
                SafetensorsFile.ReadInto(stream.SafeFileHandle, read.Entry, read.Box with { Offset = Relative(read.Box.Offset, read.Entry.Layout.Offset) }, place);
            }
        }
    }

    private static long[] Relative(IReadOnlyList<long> offset, IReadOnlyList<long> origin) => [.. offset.Zip(origin, (o, from) => o - from)];
}
