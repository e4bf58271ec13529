using System.Diagnostics;
using Titan.Benchmarks;
using Titan.Host.Jobs;
using Titan.Quantization.Measurement;
using Titan.Training.Metrics;

namespace Titan.Host.Tests.Launch;

/// <summary>eng/gpu/run.sh in a folder of its own, with stand-ins for the program and for PyTorch. The pages that the stand-in copies were written by the program's own code.</summary>
public sealed class GpuScriptTests : IDisposable
{
    private static readonly string Gpu = Path.Combine(Path.GetDirectoryName(Titan.Training.Data.SampleAssets.Root)!, "eng", "gpu");
    private readonly string folder = Directory.CreateTempSubdirectory("titan-gpu-script-").FullName;
    private readonly Dictionary<string, string> environment = [];

    public GpuScriptTests()
    {
        foreach (var file in new[] { "run.sh", "reference.py", "kernel_times.cpp" }) File.Copy(Path.Combine(Gpu, file), Path.Combine(folder, file));
        StepPage("step", 4, ("bf16 fused", 0.15, 27.0), ("float8/tensorwise fused", 0.12, 26.0), ("float8/rowwise fused", 0.1254, 26.5));
        StepPage("step_8_blocks", 8, ("bf16 fused", 0.26, 30), ("float8/tensorwise fused", 0.2, 31));
        Page("linear", new BenchmarkTable("LayerNorm -> Linear -> Sigmoid", ["M", "K", "speed-up"], [["8192", "4096", "1.15x"]]));
        Page("kernels", new BenchmarkTable("Fused kernels", ["kernel", "fused / copy"], [["rescale bf16, per row and column", "91 %"]]));
        using (var metrics = new JsonLinesSink(Path.Combine(folder, "metrics.jsonl")))
            foreach (var step in new long[] { 1, 20, 40, 200 })
                metrics.Write(step, new StepMetrics(step, 7.5, 7.5, 1, 1e-3, 1024 * step, 45000, 1, 0.1, 0.01, 2, 3, 84, new DeviceMemory(step == 1 ? 0.9 : 0.94, 1)).Named());
        Program("program/titan", """
            case "$1 ${2:-}" in
                bench*) while [ "$1" != --out ]; do [ $# -gt 1 ] || exit 0; shift; done; mkdir -p "$2"; cp "pages/$(basename "$2")"/* "$2" ;;
                train*) while [ "$1" != --job.dump_folder ]; do shift; done; mkdir -p "$2"; cp metrics.jsonl "$2" ;;
            esac
            echo "titan $*"
            """);
        Program("python", """
            case "$*" in
                *torch.__file__*) echo /torch/lib ;;
                *torch.__version__*) echo "PyTorch 2.11.0+cu130 CUDA 13.0 NVIDIA H100 80GB HBM3" ;;
                *cupti*) printf '\n\n' ;;
                reference.py*) case "$3" in eager) s=0.16 t=51200 ;; compiled) s=0.16 t=50000 ;; tensorwise) s=0.12 t=60000 ;; rowwise) s=0.125 t=65500 ;; esac
                    echo "warming up"; echo "RESULT|$3|$s|$s|$t|20.00|18.40|11.90000" ;;
            esac
            """);
        environment["PYTHON"] = Path.Combine(folder, "python");
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void One_page_sets_both_programs_side_by_side_with_ratios_memory_kernels_and_layers()
    {
        Directory.CreateDirectory(Path.Combine(folder, "ao", "torchao"));
        environment["TORCHAO"] = Path.Combine(folder, "ao");
        var (code, output) = Run();
        Assert.True(code == 0, output);
        var page = Page();
        foreach (var line in new[]
        {
            "| ours, bf16 fused | 0.1500 | 0.1500 | 54613 | 27.0 | | 4.90000 |", "| ours, float8/rowwise fused | 0.1254 | 0.1254 | 65327 | 26.5 | | 4.90000 |",
            "| PyTorch, compiled | 0.16 | 0.16 | 50000 | 20.00 | 18.40 | 11.90000 |", "| PyTorch, rowwise | 0.125 | 0.125 | 65500 | 20.00 | 18.40 | 11.90000 |",
            "| bf16 fused / compiled | 1.092x |", "| tensorwise / torchao tensorwise, compiled | 1.138x |", "| tensorwise / our bf16 fused, 8 blocks, the optimizer between the steps | 1.300x |", "| bf16 fused / compiled | 1.350x |",
            "### Device memory in use, GiB", "| bf16 fused | 27.000 | 27.000 | 27.000 | 27.000 | 0.000 | flat |", "| 0.900 | 0.940 | 0.940 | 0.940 | flat |", "| 8192 | 4096 | 1.15x |", "| rescale bf16, per row and column | 91 % |",
            "| none | 7.5 | 7.5 |",
        })
            Assert.Contains(line + "\n", page, StringComparison.Ordinal);
        Assert.Matches(@"- hardware: NVIDIA H100 80GB HBM3, driver \S+\n", page);
        Assert.Matches(@"- versions: titan \d.*, PyTorch 2.11.0\+cu130 CUDA 13.0, torchao of unknown version\n", page);
        Assert.Contains("0 steps failed, ", output, StringComparison.Ordinal);
        // The page comes last: a caller who sees the end of the output only sees it.
        Assert.Contains(page, output, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_torchao_or_CUPTI_their_steps_are_skipped_by_name_and_the_rest_runs()
    {
        var (code, output) = Run();
        Assert.True(code == 0, output);
        var page = Page();
        foreach (var row in new[] { "| pytorch_tensorwise | 0 | skipped: torchao's sources are not here (TORCHAO) |", "| kernel_times | 0 | skipped: needs g++ and CUPTI" }) Assert.Contains(row, page, StringComparison.Ordinal);
        Assert.DoesNotContain("| PyTorch, tensorwise", page, StringComparison.Ordinal);
        Assert.DoesNotContain("| tensorwise / torchao", page, StringComparison.Ordinal);
        Assert.Contains("| PyTorch, eager", page, StringComparison.Ordinal);
    }

    [Fact]
    public void A_step_that_fails_is_named_with_what_it_said_and_the_others_go_on()
    {
        Program("program/titan", "if [ \"$2\" = linear ]; then echo 'titan: error: out of | memory' >&2; exit 1; fi\n" + File.ReadAllText(Path.Combine(folder, "program", "titan")));
        var (code, output) = Run();
        Assert.Equal(1, code);
        Assert.Contains("run.sh: linear FAILED (results/linear.txt): titan: error: out of | memory", output, StringComparison.Ordinal);
        Assert.Matches(@"\| linear \| \d+ \| FAILED: titan: error: out of / memory \|\n", Page());
        Assert.Contains("| kernels | ", File.ReadAllText(Path.Combine(folder, "results", "steps.md")), StringComparison.Ordinal);
        Assert.Contains("1 steps failed, ", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_step_ends_when_its_time_is_over_and_what_does_not_fit_any_more_is_skipped()
    {
        Program("program/titan", "sleep 300");
        environment["BUDGET"] = "4";
        var (code, output) = Run();
        Assert.Equal(1, code);
        Assert.Matches(@"run.sh: doctor FAILED \(results/doctor.txt\): ended after [34] s", output);
        Assert.Matches(@"run.sh: step skipped: needs about 110 s, \d of 4 s are left \(BUDGET\)", output);
        Assert.Matches(@"run.sh: small_cpu_none skipped: needs about 6 s, -?\d+ of 4 s are left", output);
    }

    [Theory]
    [InlineData("BUDGET", "soon", 2, "BUDGET=soon: expected a whole number, 1 or more")]
    [InlineData("LAYERS", "0", 2, "LAYERS=0: expected a whole number")]
    [InlineData("TORCHAO", "/nowhere", 2, "TORCHAO=/nowhere: expected a folder that holds torchao/")]
    [InlineData("PYTHON", "/nowhere/python", 4, "/nowhere/python has no torch; set PYTHON")]
    public void A_mistake_is_named_with_the_way_out(string name, string value, int exit, string says)
    {
        environment[name] = value;
        var (code, output) = Run();
        Assert.Equal(exit, code);
        Assert.Contains(says, output, StringComparison.Ordinal);
    }

    [Fact]
    public void The_flags_that_the_script_gives_are_the_programs()
    {
        var script = File.ReadAllText(Path.Combine(folder, "run.sh"));
        var help = string.Concat(new[] { "kernels", "linear", "step" }.Select(c => TitanProcess.Run(["bench", c, "--help"]).Output));
        foreach (var flag in new[] { "--without-plain", "--warm-ups", "--repetitions", "--rounds", "--columns", "--sizes", "--matmuls", "--minutes", "--shapes", "--family", "--recipe", "--kv-heads", "--vocab" })
        {
            Assert.Contains(flag, script, StringComparison.Ordinal);
            Assert.Contains(flag, help, StringComparison.Ordinal);
        }

        var (exit, output) = TitanProcess.Run(
        [
            "bench", "step", "--dim", "64", "--heads", "2", "--kv-heads", "1", "--ffn", "96", "--vocab", "128", "--seq", "32", "--rounds", "1", "--warm-ups", "3", "--layers", "1", "--repetitions", "1", "--without-plain",
            "--recipe", "float8/tensorwise,float8/rowwise", "--quantize.linear.float8.filter_fqns", "output", "--out", Path.Combine(folder, "step"),
        ]);
        Assert.True(exit == 0, output);
        Assert.Contains("activation_checkpoint.mode none: nothing is recomputed.", output, StringComparison.Ordinal);
        Assert.DoesNotContain("| bf16 plain", output, StringComparison.Ordinal);
    }

    private void StepPage(string name, int layers, params (string Arm, double Seconds, double GiB)[] arms)
    {
        var bench = new StepBench(new StepModel(4096, layers, 32, 8, 14336, 128256, 8192, 1), [.. arms.Select(a => (a.Arm, (IReadOnlyList<string>)[]))], 1, 3, 37);
        Page(name, [.. bench.Tables([.. arms.Select(a => (IReadOnlyList<StepArm>)[new StepArm([.. Enumerable.Repeat(a.Seconds, 37)], 4.9, 1.5, [.. Enumerable.Repeat(a.GiB, 40)], a.GiB)])])]);
    }

    private void Page(string name, params BenchmarkTable[] tables) =>
        BenchmarkFile.Create(Path.Combine(folder, "pages", name), name, new Hardware("a CPU", 2, "AVX2", null, 1 << 30), TimeProvider.System).Write(name, "once", [], tables, ["a note"]);

    private string Page() => File.ReadAllText(Assert.Single(Directory.GetFiles(Path.Combine(folder, "results"), "beside-pytorch_nvidia-h100-80gb-hbm3_????-??-??.md")));

    private void Program(string name, string body)
    {
        var path = Path.Combine(folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, $"#!/bin/bash\n{body}\n");
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    private (int ExitCode, string Output) Run()
    {
        var start = new ProcessStartInfo("/bin/bash", [Path.Combine(folder, "run.sh")]) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var name in new[] { "TORCHAO", "BUDGET", "LAYERS", "STEPS", "STEPS_PYTORCH", "EMULATE" }) start.Environment.Remove(name);
        foreach (var (name, value) in environment) start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + error.Result);
    }
}
