namespace Titan.Tests.Kit;

/// <summary>The programs that some tests start and that a machine with the SDK alone lacks. <c>run_tests.sh</c> installs their packages where it may.</summary>
internal static class Tools
{
    private static readonly Dictionary<string, string> Packages = new()
    {
        ["g++"] = "g++",
        ["mpirun.openmpi"] = "openmpi-bin",
        ["mpiexec.mpich"] = "mpich",
        ["pgrep"] = "procps",
    };

    /// <summary>Why a test that starts these programs cannot run here and what to install; null where all are on PATH.</summary>
    public static string? Missing(params string[] tools)
    {
        var path = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries);
        var missing = tools.Where(tool => !path.Any(folder => File.Exists(Path.Combine(folder, tool)))).ToList();
        return missing.Count == 0 ? null : $"not on PATH: {string.Join(", ", missing)}; install it as root: apt-get install {string.Join(' ', missing.Select(Package))}";
    }

    private static string Package(string tool) =>
        Packages.TryGetValue(tool, out var package) ? package : throw new ArgumentException($"'{tool}': no package is known for it; add it to {nameof(Tools)} and to run_tests.sh");
}
