using System.Globalization;
using Titan.Abstractions;
using Titan.Models;
using Titan.Models.Llama3;
using Titan.Parallelism.Tests;
using Titan.Training.Checkpoints;
using Titan.Training.HuggingFace;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace Titan.Training.Tests.HuggingFace;

/// <summary>
/// A folder of Llama 3 8B's size: headers as the published one has, the numbers zero and without room on the disk. Four ranks, threads of this process, read all of it, each its
/// rows of a quarter of every tensor, block by block as their memory would hold them.
/// </summary>
public sealed class LargeFolderTests(ITestOutputHelper output) : IDisposable
{
    private const int Ranks = 4;
    private const long Most = 1L << 30;

    private readonly TestFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Four_ranks_read_8B_each_its_quarter_with_little_memory_besides()
    {
        var flavor = new Llama3Family().Flavors["8B"];
        var format = flavor.HuggingFace!();
        using var scope = NewDisposeScope();
        using var model = flavor.Build(new ModelContext(16, META, ScalarType.BFloat16));
        var shapes = ModelParameters.Of(model).Select(p => (p.Fqn, p.Layout.GlobalShape)).ToList();
        var layout = ExportLayout.Make(ExportPlan.Of(format, [.. shapes.Select(s => (s.Fqn, s.GlobalShape, ScalarType.BFloat16))]));
        new ExportFiles(layout, format).Create(folder.Path, SafetensorsFile.HashedFile.Create);
        foreach (var (name, text) in layout.With(ExportAssets.Of(format.Config, "", ScalarType.BFloat16).Texts)) File.WriteAllText(folder.At(name), text);
        Assert.Equal(4, layout.Files.Count);

        // A unit is what one rank would hold of a block, of the embedding, of the head.
        var units = shapes.GroupBy(s => s.Fqn.StartsWith("layers.", StringComparison.Ordinal) ? string.Join('.', s.Fqn.Split('.').Take(2)) : s.Fqn).Select(g => g.ToList()).ToList();
        var largest = units.Max(u => u.Sum(s => 2 * s.GlobalShape.Aggregate(1L, (a, b) => a * b))) / Ranks;
        var before = ResetPeak();
        var read = ThreadRanks.Run(Ranks, world =>
        {
            var weights = HuggingFaceWeights.Open(folder.Path, "key", "llama3/8B", format, _ => { }, world);
            long share = 0;
            foreach (var unit in units)
            {
                using var inner = NewDisposeScope();
                List<TensorPart> parts = [.. unit.Select(s =>
                {
                    var part = ShardLayout.Whole(s.GlobalShape).Narrow(0, s.GlobalShape[0] * world.Rank / Ranks, s.GlobalShape[0] / Ranks);
                    return new TensorPart(s.Fqn, empty([.. part.Shape], dtype: ScalarType.BFloat16), part);
                })];
                weights.Load(parts);
                share += parts.Sum(p => p.Tensor.numel() * p.Tensor.element_size());
            }

            Assert.Equal(share, weights.BytesRead);
            return weights.BytesRead;
        });
        Assert.Equal(2 * 8_030_261_248, read.Sum());
        // All four in this process, with what malloc keeps of the parts that were given back.
        var besides = (Peak() - before - Ranks * largest) / Ranks;
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"8B by {Ranks} ranks: {read.Max() / 1e6:N0} MB read by each, {besides / 1e6:N0} MB of memory besides its part"));
        Assert.True(besides <= Most, string.Create(CultureInfo.InvariantCulture, $"{besides / 1e6:N0} MB a rank besides its part"));
    }

    private static long ResetPeak()
    {
        GC.Collect();
        File.WriteAllText("/proc/self/clear_refs", "5");
        return Peak();
    }

    /// <summary>The most memory that was resident, in bytes.</summary>
    private static long Peak() => 1024 * long.Parse(File.ReadLines("/proc/self/status").Single(l => l.StartsWith("VmHWM", StringComparison.Ordinal)).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
}
