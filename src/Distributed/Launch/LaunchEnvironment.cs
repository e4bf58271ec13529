using System.Globalization;

namespace Titan.Distributed.Launch;

/// <summary>Who started this process.</summary>
internal enum Launcher
{
    /// <summary>Nobody: a rank of its own.</summary>
    None,

    /// <summary>Open MPI's mpirun.</summary>
    OpenMpi,

    /// <summary>The launcher of MPICH, Intel MPI or MVAPICH, or <c>srun --mpi=pmi2</c>.</summary>
    Pmi,

    /// <summary><c>srun --mpi=pmix</c>.</summary>
    Pmix,

    /// <summary><c>srun</c> without a process management interface.</summary>
    Slurm,
}

/// <summary>What the environment says about the job that this process belongs to.</summary>
/// <param name="Launcher">Who started it.</param>
/// <param name="World">How many ranks the launcher started; null where it does not say.</param>
internal sealed record LaunchEnvironment(Launcher Launcher, int? World)
{
    public static LaunchEnvironment Detect() => Detect(Environment.GetEnvironmentVariable);

    public static LaunchEnvironment Detect(Func<string, string?> variable)
    {
        int? Number(string name) => int.TryParse(variable(name), CultureInfo.InvariantCulture, out var value) ? value : null;

        // SLURM_NTASKS is also set in a batch script, which is one process: only a step's own number counts.
        var tasks = Number("SLURM_STEP_NUM_TASKS");
        if (Number("OMPI_COMM_WORLD_SIZE") is { } open) return new(Launcher.OpenMpi, open);
        if (variable("PMIX_RANK") is not null) return new(Launcher.Pmix, tasks);
        if (Number("PMI_SIZE") is { } pmi) return new(Launcher.Pmi, pmi);
        if (variable("PMI_RANK") is not null) return new(Launcher.Pmi, tasks);
        return tasks > 1 ? new(Launcher.Slurm, tasks) : new(Launcher.None, 1);
    }
}
