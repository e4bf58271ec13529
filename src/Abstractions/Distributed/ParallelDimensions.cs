namespace Titan.Abstractions;

/// <summary>
/// The sizes of the mesh: <c>dp_replicate * dp_shard * cp * tp * pp = world</c>. <c>ep</c> and <c>etp</c> arrange the ranks of <c>dp_shard * cp *
/// tp</c> a second time, for experts.
/// </summary>
/// <param name="DataParallelReplicate">Replicas.</param>
/// <param name="DataParallelShard">Ranks over which parameters are sharded.</param>
/// <param name="ContextParallel">Ranks that share a sequence.</param>
/// <param name="TensorParallel">Ranks that share a layer.</param>
/// <param name="PipelineParallel">Pipeline stages.</param>
/// <param name="ExpertParallel">Ranks that share the experts of a layer.</param>
/// <param name="ExpertTensorParallel">Ranks that share an expert.</param>
public sealed record ParallelDimensions(
    int DataParallelReplicate = 1, int DataParallelShard = 1, int ContextParallel = 1, int TensorParallel = 1, int PipelineParallel = 1,
    int ExpertParallel = 1, int ExpertTensorParallel = 1)
{
    /// <summary>The most ranks that a job may have.</summary>
    public const int MostRanks = 1 << 20;

    /// <summary>Number of ranks.</summary>
    public int World => DataParallelReplicate * DataParallelShard * ContextParallel * TensorParallel * PipelineParallel;

    /// <summary>Ranks that read different data: upstream's <c>dp</c>.</summary>
    public int Batch => DataParallelReplicate * DataParallelShard;

    /// <summary>
    /// Ranks over which a parameter is sharded: upstream's <c>fsdp</c>. Those of <c>cp</c> have the same parameters and different gradients, so they
    /// shard them too.
    /// </summary>
    public int FullyShard => DataParallelShard * ContextParallel;

    /// <summary>Ranks that compute losses of different tokens: upstream's <c>loss</c>.</summary>
    public int Loss => Batch * ContextParallel;

    /// <summary>Ranks over which the parameters of an expert are sharded: <c>dp_mod_ep</c>, later upstream's <c>efsdp</c>.</summary>
    public int DataModExpert => FullyShard * TensorParallel / (ExpertParallel * ExpertTensorParallel);

    /// <summary>The size along an axis.</summary>
    public int this[MeshAxis axis] => axis switch
    {
        MeshAxis.TensorParallel => TensorParallel,
        MeshAxis.ExpertParallel => ExpertParallel,
        MeshAxis.ExpertTensorParallel => ExpertTensorParallel,
        MeshAxis.ContextParallel => ContextParallel,
        MeshAxis.DataParallelShard => DataParallelShard,
        MeshAxis.DataParallelReplicate => DataParallelReplicate,
        MeshAxis.PipelineParallel => PipelineParallel,
        _ => throw new ArgumentOutOfRangeException(nameof(axis), axis, "no axis of the mesh"),
    };

    /// <summary>Whether the ranks of <c>tp</c> share each expert: without <c>ep</c>, and where <c>etp</c> is <c>tp</c>. Otherwise an expert is whole on its rank.</summary>
    public bool SplitsExperts => ExpertParallel == 1 || ExpertTensorParallel > 1;

    /// <summary>
    /// The ranks over which the parallelism of an axis works: those along it; that of <c>dp_shard</c> works over <see cref="FullyShard"/>, and for experts that <c>ep</c> shares over <see cref="DataModExpert"/>.
    /// </summary>
    public int Over(MeshAxis axis) => axis != MeshAxis.DataParallelShard ? this[axis] : ExpertParallel > 1 ? Math.Max(FullyShard, DataModExpert) : FullyShard;

    /// <summary>Why <c>ep</c> and <c>etp</c> do not fit the other axes (upstream's rules); null when they do.</summary>
    public string? ExpertProblem =>
        ExpertTensorParallel != 1 && ExpertTensorParallel != TensorParallel ? $"etp {ExpertTensorParallel}: expected 1 or tp {TensorParallel}"
        : (long)FullyShard * TensorParallel % ((long)ExpertParallel * ExpertTensorParallel) == 0 ? null
        : $"ep {ExpertParallel} * etp {ExpertTensorParallel} takes its ranks from dp_shard {DataParallelShard} * cp {ContextParallel} * tp {TensorParallel} = " +
          $"{FullyShard * TensorParallel}, which it does not divide";

    /// <summary>
    /// The sizes of a job on <paramref name="world"/> ranks: resolves <c>-1</c> for <c>dp_shard</c> as "what is left" and checks that the product is
    /// the world size (upstream's rules).
    /// </summary>
    /// <param name="asked">The degrees of the job.</param>
    /// <param name="world">Number of ranks.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>, naming the degrees and the world size.</exception>
    public static ParallelDimensions Resolve(ParallelDimensions asked, int world)
    {
        foreach (var axis in MeshAxes.All)
        {
            var isShard = axis == MeshAxis.DataParallelShard;
            if (asked[axis] >= 1 || (isShard && asked[axis] == -1)) continue;
            throw new TitanException(ExitCode.Usage,
                $"{axis.DegreeKey()} = {asked[axis]}: expected 1 or more{(isShard ? ", or -1 for all ranks that are left" : "")}");
        }

        var others = Product(asked with { DataParallelShard = 1 });
        if (Product(asked) > MostRanks)
            throw new TitanException(ExitCode.Usage, $"parallelism: {Text(asked)} is more than {MostRanks} ranks; lower the degrees");
        var resolved = asked.DataParallelShard == -1 ? asked with { DataParallelShard = (int)Math.Max(1, world / others) } : asked;
        if (resolved.World != world)
            throw new TitanException(ExitCode.Usage,
                $"parallelism: {Text(resolved)} = {resolved.World}, " +
                $"but the job runs on {world} rank(s); set NGPU={resolved.World} or change the degrees");
        if (resolved.ExpertProblem is { } problem)
            throw new TitanException(ExitCode.Usage, $"parallelism: {problem}; change {MeshAxis.ExpertParallel.DegreeKey()} or the other degrees");
        return resolved;
    }

    /// <summary>The sizes of a job whose number of ranks is not known: <c>-1</c> is the fewest that there can be.</summary>
    /// <param name="asked">The degrees of the job.</param>
    /// <exception cref="TitanException">
    /// With <see cref="ExitCode.Usage"/> when the degrees are of more ranks than there can be, or do not fit each other.
    /// </exception>
    public static ParallelDimensions Least(ParallelDimensions asked)
    {
        // Experts need ranks to take: as many as make their number whole.
        long inner = (long)asked.ContextParallel * asked.TensorParallel, experts = (long)asked.ExpertParallel * asked.ExpertTensorParallel;
        var shard = asked.DataParallelShard >= 1 || inner < 1 || experts < 1 ? Math.Max(1, asked.DataParallelShard) : experts / Gcd(experts, inner);
        var least = asked with { DataParallelShard = (int)Math.Min(int.MaxValue, shard) };
        return Resolve(least, (int)Math.Min(int.MaxValue, Product(least)));
    }

    /// <summary>The axes with more than one rank, outermost first: <c>dp_shard 4 x tp 2</c>.</summary>
    public override string ToString() => string.Join(" x ", new[]
    {
        MeshAxis.PipelineParallel, MeshAxis.DataParallelReplicate, MeshAxis.DataParallelShard, MeshAxis.ContextParallel, MeshAxis.TensorParallel,
        MeshAxis.ExpertParallel, MeshAxis.ExpertTensorParallel,
    }.Where(a => this[a] > 1).Select(a => $"{a.Name()} {this[a]}"));

    /// <summary>In floating point: the product of five degrees may be more than any integer holds.</summary>
    private static double Product(ParallelDimensions d) =>
        (double)d.DataParallelReplicate * Math.Max(1, d.DataParallelShard) * d.ContextParallel * d.TensorParallel * d.PipelineParallel;

    private static string Text(ParallelDimensions d) =>
        $"dp_replicate {d.DataParallelReplicate} * dp_shard {d.DataParallelShard} * cp {d.ContextParallel} * tp {d.TensorParallel} " +
        $"* pp {d.PipelineParallel}";

    private static long Gcd(long a, long b) => b == 0 ? a : Gcd(b, a % b);
}
