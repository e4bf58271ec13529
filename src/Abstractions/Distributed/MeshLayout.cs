namespace Titan.Abstractions;

/// <summary>
/// Which rank is where in the mesh: <c>[pp, dp_replicate, dp_shard, cp, tp]</c>, the last one innermost (upstream's order). For experts the ranks of
/// <c>dp_shard x cp x tp</c> are arranged a second time, as <c>[dp_mod_ep, ep, etp]</c>. A group is the ranks that differ along some of the axes of
/// one arrangement. Axes of one rank count for nothing, so what has the same members has the same name.
/// </summary>
public static class MeshLayout
{
    private const string DataModExpert = "dp_mod_ep";

    /// <summary>Upstream's derived groups; a name is taken by the first that has these members.</summary>
    private static readonly (string Name, MeshAxis[] Axes)[] Derived =
    [
        ("dp", [MeshAxis.DataParallelReplicate, MeshAxis.DataParallelShard]),
        ("fsdp", [MeshAxis.DataParallelShard, MeshAxis.ContextParallel]),
        ("loss", [MeshAxis.DataParallelReplicate, MeshAxis.DataParallelShard, MeshAxis.ContextParallel]),
    ];

    /// <summary>An axis of an arrangement: ranks next to each other along it are <paramref name="Stride"/> ranks of the world apart.</summary>
    private readonly record struct Extent(string Name, int Size, int Stride)
    {
        public int Coordinate(int rank) => rank / Stride % Size;
    }

    /// <summary>
    /// The name of the group over some axes: the axis's, a derived group's (<c>dp</c>, <c>fsdp</c>, <c>loss</c>), or the axes' names, for example
    /// <c>dp_shard x tp</c>.
    /// </summary>
    /// <exception cref="ArgumentException">When the axes are of two arrangements, or there is none.</exception>
    public static string Name(ParallelDimensions sizes, params ReadOnlySpan<MeshAxis> axes)
    {
        var extents = Varying(sizes, axes);
        if (extents.Count > 1) return NameOf(sizes, extents);
        if (extents.Count == 1) return extents[0].Name;
        var asked = axes.ToArray().Distinct().OrderDescending().ToArray();
        return Derived.FirstOrDefault(d => d.Axes.OrderDescending().SequenceEqual(asked)).Name ?? string.Join(" x ", asked.Select(a => a.Name()));
    }

    /// <summary>World ranks, in order, that agree with <paramref name="rank"/> in all but the given axes.</summary>
    /// <exception cref="ArgumentException">When the axes are of two arrangements, or there is none.</exception>
    public static IReadOnlyList<int> Members(ParallelDimensions sizes, int rank, params ReadOnlySpan<MeshAxis> axes) =>
        Members(Varying(sizes, axes), rank);

    /// <summary>
    /// The ranks that hold the same experts of one replica as <paramref name="rank"/>: over them the experts' parameters are sharded.
    /// </summary>
    internal static (string Name, IReadOnlyList<int> Members) DataModExpertOf(ParallelDimensions sizes, int rank) =>
        (DataModExpert, Members([Experts(sizes)[2]], rank));

    /// <summary>The position of <paramref name="rank"/> in the group over some axes.</summary>
    /// <exception cref="ArgumentException">When the axes are of two arrangements, or there is none.</exception>
    public static int Coordinate(ParallelDimensions sizes, int rank, params ReadOnlySpan<MeshAxis> axes)
    {
        var position = 0;
        foreach (var extent in Varying(sizes, axes)) position = position * extent.Size + extent.Coordinate(rank);
        return position;
    }

    /// <summary>
    /// All groups of several ranks that a rank is in, in the same order on every rank: whoever makes communicators, which all ranks must make in the
    /// same order, goes by it. Two of them may have the same members, on every rank: <c>tp</c> and <c>etp</c>.
    /// </summary>
    public static IEnumerable<(string Name, IReadOnlyList<int> Members)> Groups(ParallelDimensions sizes, int rank)
    {
        Extent[][] arrangements = sizes.ExpertParallel * sizes.ExpertTensorParallel == 1 ? [Ranks(sizes)] : [Ranks(sizes), Experts(sizes)];
        foreach (var arrangement in arrangements)
        {
            // Innermost first: neighbours before those who are far apart.
            var extents = arrangement.Where(e => e.Size > 1).ToArray();
            for (var set = 1; set < 1 << extents.Length; set++)
            {
                var chosen = extents.Where((_, i) => (set >> i & 1) != 0).Reverse().ToList();
                yield return (NameOf(sizes, chosen), Members(chosen, rank));
            }
        }
    }

    /// <summary>Innermost first.</summary>
    private static Extent[] Ranks(ParallelDimensions s) => Arrange(s,
        (MeshAxis.TensorParallel.Name(), s.TensorParallel), (MeshAxis.ContextParallel.Name(), s.ContextParallel),
        (MeshAxis.DataParallelShard.Name(), s.DataParallelShard));

    /// <summary>Innermost first.</summary>
    private static Extent[] Experts(ParallelDimensions s) => Arrange(s,
        (MeshAxis.ExpertTensorParallel.Name(), s.ExpertTensorParallel), (MeshAxis.ExpertParallel.Name(), s.ExpertParallel),
        (DataModExpert, s.DataModExpert));

    private static Extent[] Arrange(ParallelDimensions s, params (string Name, int Size)[] inner)
    {
        (string Name, int Size)[] outer =
        [
            (MeshAxis.DataParallelReplicate.Name(), s.DataParallelReplicate), (MeshAxis.PipelineParallel.Name(), s.PipelineParallel),
        ];
        var (extents, stride) = (new List<Extent>(), 1);
        foreach (var (name, size) in inner.Concat(outer))
        {
            extents.Add(new Extent(name, size, stride));
            stride *= size;
        }

        return [.. extents];
    }

    /// <summary>Those of the axes that have several ranks, outermost first.</summary>
    private static List<Extent> Varying(ParallelDimensions sizes, ReadOnlySpan<MeshAxis> axes)
    {
        if (axes.Length == 0) throw new ArgumentException("a group of the mesh needs an axis");
        var names = axes.ToArray().Where(a => sizes[a] > 1).Select(a => a.Name()).ToHashSet();
        foreach (var arrangement in new[] { Ranks(sizes), Experts(sizes) })
        {
            var found = arrangement.Where(e => names.Contains(e.Name)).Reverse().ToList();
            if (found.Count == names.Count) return found;
        }

        throw new ArgumentException(
            $"the mesh has no group over {string.Join(" x ", names)}: ep and etp take their ranks from dp_shard, cp and tp, so a group is over the ones or over the others");
    }

    private static string NameOf(ParallelDimensions sizes, IReadOnlyList<Extent> extents)
    {
        foreach (var (name, axes) in Derived)
            if (axes.Where(a => sizes[a] > 1).Select(a => a.Name()).SequenceEqual(extents.Select(e => e.Name)))
                return extents.Count > 1 ? name : extents[0].Name;
        return string.Join(" x ", extents.Select(e => e.Name));
    }

    private static List<int> Members(IReadOnlyList<Extent> varying, int rank)
    {
        List<int> members = [rank - varying.Sum(e => e.Coordinate(rank) * e.Stride)];
        foreach (var extent in varying)
            members = [.. members.SelectMany(first => Enumerable.Range(0, extent.Size).Select(i => first + i * extent.Stride))];
        return members;
    }
}
