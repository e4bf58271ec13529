using Titan.Distributed.Launch;

namespace Titan.Distributed.Tests;

public sealed class LaunchEnvironmentTests
{
    [Theory]
    [InlineData("", "None", 1)]
    [InlineData("OMPI_COMM_WORLD_SIZE=4 PMIX_RANK=2", "OpenMpi", 4)]
    [InlineData("PMI_SIZE=8 PMI_RANK=3", "Pmi", 8)]
    [InlineData("PMIX_RANK=1 SLURM_STEP_NUM_TASKS=16", "Pmix", 16)]
    [InlineData("PMIX_RANK=1", "Pmix", null)]
    [InlineData("SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=0", "Slurm", 2)]
    // A batch script of an allocation for many tasks is one process.
    [InlineData("SLURM_NTASKS=16 SLURM_STEP_NUM_TASKS=1", "None", 1)]
    [InlineData("SLURM_NTASKS=16", "None", 1)]
    public void The_launcher_is_known_by_what_it_leaves_in_the_environment(string variables, string launcher, int? world)
    {
        var set = variables.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(v => v.Split('=')).ToDictionary(v => v[0], v => v[1]);
        Assert.Equal(new LaunchEnvironment(Enum.Parse<Launcher>(launcher), world), LaunchEnvironment.Detect(set.GetValueOrDefault));
    }
}
