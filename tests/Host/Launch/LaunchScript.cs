using System.Diagnostics;

namespace Titan.Host.Tests.Launch;

/// <summary>run_train.sh with launchers and a program that record how they were called, and nothing else of this machine's MPI on PATH.</summary>
internal sealed class LaunchScript : IDisposable
{
    private static readonly string Script = Path.Combine(Path.GetDirectoryName(Titan.Training.Data.SampleAssets.Root)!, "run_train.sh");
    private readonly string folder = Directory.CreateTempSubdirectory("titan-launch-").FullName;
    private readonly Dictionary<string, string?> environment = new()
    {
        ["NGPU"] = null, ["LOG_RANK"] = null, ["HOSTFILE"] = null, ["TITAN_HOSTS"] = null, ["TITAN_MPIRUN_FLAGS"] = null, ["TITAN_INSTALL"] = null, ["OMP_NUM_THREADS"] = null,
        ["CONFIG_FILE"] = null, ["TITAN_LAUNCHER_GRACE_SECONDS"] = null, ["OMPI_COMM_WORLD_SIZE"] = null, ["PMI_SIZE"] = null, ["PMIX_RANK"] = null, ["SLURM_PROCID"] = null, ["SLURM_JOB_ID"] = null,
    };

    public LaunchScript()
    {
        foreach (var tool in new[] { "bash", "env", "id", "getconf", "dirname", "cat", "sleep", "sed", "tr", "pgrep" })
        {
            var real = new[] { "/usr/bin", "/bin" }.Select(d => Path.Combine(d, tool)).FirstOrDefault(File.Exists);
            if (real is not null) File.CreateSymbolicLink(Path.Combine(Bin, tool), real);
        }

        Add("program", "echo \"program $*\"; echo \"LOG_RANK=$LOG_RANK OMP_NUM_THREADS=${OMP_NUM_THREADS:-} TITAN_NO_BUILD=${TITAN_NO_BUILD:-}\"");
    }

    private string Bin => Directory.CreateDirectory(Path.Combine(folder, "bin")).FullName;

    public string Folder => folder;

    /// <summary>A launcher that says which it is and prints its arguments.</summary>
    public LaunchScript Launcher(string name, string version, string body = "echo \"launched $*\"; echo \"TITAN_NO_BUILD=$TITAN_NO_BUILD UCX_HANDLE_ERRORS=$UCX_HANDLE_ERRORS OMP_NUM_THREADS=${OMP_NUM_THREADS:-}\"")
    {
        Add(name, $"if [ \"$1\" = --version ]; then echo '{version}'; exit 0; fi\n{body}");
        return this;
    }

    public LaunchScript OpenMpi(string body = "echo \"launched $*\"; echo \"TITAN_NO_BUILD=$TITAN_NO_BUILD UCX_HANDLE_ERRORS=$UCX_HANDLE_ERRORS OMP_NUM_THREADS=${OMP_NUM_THREADS:-}\"") =>
        Launcher("mpirun", "mpirun (Open MPI) 4.1.4", body);

    /// <summary>A program on PATH, which a launcher here may start.</summary>
    public LaunchScript Program(string name, string body)
    {
        Add(name, body);
        return this;
    }

    /// <summary>As on a machine that lacks a tool.</summary>
    public LaunchScript Without(string tool)
    {
        File.Delete(Path.Combine(Bin, tool));
        return this;
    }

    public LaunchScript With(string name, string value)
    {
        environment[name] = value;
        return this;
    }

    public (int ExitCode, string Output) Run(params string[] args)
    {
        using var process = Start(args);
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + error.Result);
    }

    public Process Start(params string[] args)
    {
        var start = new ProcessStartInfo("/bin/bash", [Script, .. args]) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (var name in start.Environment.Keys.Where(k => k.StartsWith("SLURM_") || k.StartsWith("OMPI_") || k.StartsWith("PMI")).ToList()) start.Environment.Remove(name);
        foreach (var (name, value) in environment) start.Environment[name] = value;
        start.Environment["PATH"] = Bin;
        start.Environment["TITAN_PROGRAM"] = Path.Combine(Bin, "program");
        return Process.Start(start)!;
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);

    private void Add(string name, string body)
    {
        var path = Path.Combine(Bin, name);
        File.WriteAllText(path, $"#!/bin/bash\n{body}\n");
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }
}
