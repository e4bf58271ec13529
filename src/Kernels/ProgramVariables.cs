using System.Text.RegularExpressions;
using Titan.Abstractions;

namespace Titan.Kernels;

/// <summary>Every environment variable of this project, of the program and of its scripts: the one place that reads and checks them, and the table of the documentation.</summary>
public static partial class ProgramVariables
{
    private const string Program = "titan", Train = "run_train.sh", Tests = "tests";
    private static readonly IReadOnlyList<string> Switch = ["1"];

    /// <summary>Where the run computes.</summary>
    public static ProgramVariable Device { get; } = new("TITAN_DEVICE", Program, "The device of a run: cpu or cuda.") { Default = "a GPU where libtorch sees one", Allowed = ["cpu", "cuda"] };

    /// <summary>An existing libtorch.</summary>
    public static ProgramVariable LibTorch { get; } = new("TITAN_LIBTORCH", Program, "Folder of an existing libtorch, for example a PyTorch's torch/lib; for builds with -p:TorchBackend=none.") { Default = "the build's own", Rule = ProgramVariable.Folder };

    /// <summary>The shipped text and tokenizer.</summary>
    public static ProgramVariable Assets { get; } = new("TITAN_ASSETS", Program, "The folder assets, with the shipped text and tokenizer.") { Default = "found beside the program or above it", Rule = ProgramVariable.Folder };

    /// <summary>Folders of plugins.</summary>
    public static ProgramVariable PluginPath { get; } = new("TITAN_PLUGIN_PATH", Program, "More folders of plugins, separated like PATH; besides plugins.path.");

    /// <summary>Kills the process at a named place.</summary>
    public static ProgramVariable Failpoint { get; } = new("TITAN_FAILPOINT", Program, "For crash tests: kills the process at a named place, NAME or NAME:K for the K-th time.")
    {
        Rule = value => FailpointForm().IsMatch(value) ? null : "expected NAME or NAME:K with a whole number K, 1 or more",
    };

    /// <summary>Holds the process at a named place.</summary>
    public static ProgramVariable Hold { get; } = new("TITAN_HOLD", Program, "For tests of signals: NAME=FILE or NAME:K=FILE holds the process at a named place for as long as the file is there.")
    {
        Rule = value => value.Split('=', 2) is [var moment, { Length: > 0 }] && FailpointForm().IsMatch(moment) ? null : "expected NAME=FILE or NAME:K=FILE with a whole number K, 1 or more",
    };

    /// <summary>All, by who reads them.</summary>
    public static IReadOnlyList<ProgramVariable> All { get; } =
    [
        Device, LibTorch, Assets, PluginPath, Failpoint, Hold,
        new("MPI_LIBRARY", Program, "Path of the MPI library.") { Default = "found by the launcher's name" },
        new("NCCL_LIBRARY", Program, "Path of the NCCL library.") { Default = "found beside libtorch" },
        new("LOG_RANK", $"{Program}, {Train}", "The ranks whose log is shown: 0; 0,3; all.") { Default = "0" },
        new("OMP_NUM_THREADS", $"{Program}, {Train}", "Threads of a rank.") { Default = "the cores, shared by the ranks of a machine" },
        new("OMP_WAIT_POLICY", Program, "How libtorch's threads wait.") { Default = "PASSIVE" },
        new("CONFIG_FILE", Train, "The job file. With --job.config_file as well, both must be the same.") { Default = "configs/llama3/cpu_small.toml" },
        new("NGPU", Train, "Number of ranks.") { Default = "1" },
        new("HOSTFILE", Train, "The launcher's list of hosts; needs NGPU."),
        new("TRAIN_COMMAND", Train, "What the ranks run.") { Default = "train" },
        new("TITAN_HOSTS", Train, "Hosts and their ranks: host1:4,host2:4."),
        new("TITAN_MPIRUN_FLAGS", Train, "More flags for the launcher."),
        new("TITAN_LAUNCHER_GRACE_SECONDS", Train, "Seconds that a launcher may outlive its ranks here.") { Default = "20", Rule = ProgramVariable.Seconds },
        new("TITAN_INSTALL", $"{Train}, run_tests.sh", "1: run_train.sh may install Open MPI with apt-get. 0: run_tests.sh may not install what its tests start.") { Allowed = ["0", "1"] },
        new("TITAN_PROGRAM", Train, "Another build of the program.") { Default = "./titan" },
        new("TITAN_NO_BUILD", "./titan", "1: does not look for changed sources.") { Allowed = Switch },
        new("TITAN_ROOT", "deploy/slurm.sh", "The checkout.") { Default = "the folder of submission" },
        new("TITAN_SRUN_MPI", "deploy/slurm.sh", "How srun starts MPI: pmix for Open MPI, pmi2 for MPICH.") { Default = "pmix" },
        new("TITAN_REQUEUE", "deploy/slurm.sh", "0: a job that its time limit stopped is not queued again.") { Default = "1", Allowed = ["0", "1"] },
        new("TITAN_LINK_TIMEOUT", "eng/distributed/link.sh", "Seconds that its run may take.") { Default = "300", Rule = ProgramVariable.Seconds },
        new("TITAN_TEST_TIMEOUT", "run_tests.sh", "Seconds that one test project may take.") { Default = "1800", Rule = ProgramVariable.Seconds },
        new("TITAN_TEST_RUN", Tests, "Marks the processes of a test run, by which run_tests.sh finds what is left."),
        new("TITAN_UPDATE_DOCS", Tests, "1: the tests write the pages that are made from the code.") { Allowed = Switch },
        new("TITAN_FULL_CATALOGUE", Tests, "1: also the long cases of tests/CATALOGUE.md.") { Allowed = Switch },
        new("TITAN_FIXTURE_WRITES", Tests, "A file that a test's plugin writes when its code runs."),
    ];

    /// <summary>Checks those that are set.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>: all that are wrong, a line each.</exception>
    public static void Check()
    {
        var wrong = new List<string>();
        foreach (var variable in All)
        {
            try
            {
                _ = variable.Value;
            }
            catch (TitanException e)
            {
                wrong.Add(e.Message);
            }
        }

        if (wrong.Count > 0) throw new TitanException(ExitCode.Usage, string.Join(Environment.NewLine, wrong));
    }

    [GeneratedRegex("^[a-zA-Z0-9_.-]+(:[1-9][0-9]{0,8})?$")]
    private static partial Regex FailpointForm();
}
