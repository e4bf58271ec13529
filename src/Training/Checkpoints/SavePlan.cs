using System.Text.RegularExpressions;
using Titan.Abstractions;

namespace Titan.Training.Checkpoints;

/// <summary>
/// Which parts this rank writes into which files. A part that several ranks hold is written by the lowest of them. What one rank writes all of has its plain name, so the
/// checkpoint of one rank, and that of ranks that all hold everything, is the same files; else there is a file for each rank that writes something: <c>model-00002-of-00004.safetensors</c>.
/// </summary>
/// <param name="Files">This rank's files with their parts.</param>
/// <param name="Bytes">Of tensors, over all ranks.</param>
/// <param name="Lacking">A file of which the ranks together do not hold everything; null when there is none.</param>
/// <param name="NonFinite">A tensor, with its file, that holds NaN or infinity on some rank; null when there is none.</param>
internal sealed partial record SavePlan(IReadOnlyList<(string Name, IReadOnlyList<TensorPart> Parts)> Files, long Bytes, string? Lacking, string? NonFinite)
{
    /// <summary>Agrees on the plan; every rank calls it.</summary>
    public static SavePlan Make(IProcessGroup world, IReadOnlyDictionary<string, IReadOnlyList<TensorPart>> tensors)
    {
        var claims = Agreement.All(world, () => tensors.Values.Select(Claim.Of).ToList());
        var files = new List<(string, IReadOnlyList<TensorPart>)>();
        long total = 0;
        string? lacking = null, nonFinite = null;
        foreach (var (i, (name, parts)) in tensors.Index())
        {
            var taken = new HashSet<string>(StringComparer.Ordinal);
            var mine = new HashSet<string>(StringComparer.Ordinal);
            var writers = new List<int>();
            long bytes = 0;
            for (var rank = 0; rank < world.Size; rank++)
            {
                var claim = claims[rank][i];
                if (claim.NonFinite is { } tensor) nonFinite ??= $"{tensor} ({name})";
                var first = claim.Shared.Where(s => taken.Add(s.Key)).ToList();
                bytes += claim.OwnBytes + first.Sum(s => s.Value);
                if (claim.Own + first.Count > 0) writers.Add(rank);
                if (rank == world.Rank) mine.UnionWith(first.Select(s => s.Key));
            }

            // Nothing at all is a file too.
            if (writers.Count == 0) writers.Add(0);
            if (writers.IndexOf(world.Rank) is var at and >= 0)
                files.Add((FileName(name, at, writers.Count), [.. parts.Where(p => p.IsStored && (p.Replicas == 1 || mine.Contains(Key(p))))]));
            total += bytes;
            if (bytes < parts.Sum(p => p.Layout.GlobalShape.Aggregate(p.Tensor.element_size(), (a, b) => a * b))) lacking ??= name;
        }

        return new SavePlan(files, total, lacking, nonFinite);
    }

    /// <summary>Whether <paramref name="name"/> is <paramref name="file"/>, or one of the files that it was written in.</summary>
    public static bool IsPartOf(string file, string name) => name == file || WholeName(name) == file;

    /// <summary>The file that <paramref name="name"/> is, or is a part of.</summary>
    public static string WholeName(string name) => Numbered().Match(name) is { Success: true } match ? match.Groups[1].Value + match.Groups[2].Value : name;

    /// <summary>Whether a name is that of one of several files.</summary>
    public static bool IsNumbered(string name) => Numbered().IsMatch(name);

    private static string FileName(string file, int index, int count) =>
        count == 1 ? file : $"{Path.GetFileNameWithoutExtension(file)}-{index + 1:D5}-of-{count:D5}{Path.GetExtension(file)}";

    private static string Key(TensorPart part) => $"{part.Name} {part.Layout}";

    [GeneratedRegex(@"^(.+)-[0-9]{5,}-of-[0-9]{5,}(\.[^.]+)\z")]
    private static partial Regex Numbered();

    /// <summary>What one rank has of one file: how many parts that nobody else has, with their bytes, those that others have too, and the first that is not finite.</summary>
    private sealed record Claim(int Own, long OwnBytes, Dictionary<string, long> Shared, string? NonFinite)
    {
        public static Claim Of(IReadOnlyList<TensorPart> parts)
        {
            var stored = parts.Where(p => p.IsStored).ToLookup(p => p.Replicas > 1);
            return new Claim(stored[false].Count(), stored[false].Sum(p => p.Bytes), stored[true].ToDictionary(Key, p => p.Bytes), Finiteness.FirstNonFinite(parts));
        }
    }
}
