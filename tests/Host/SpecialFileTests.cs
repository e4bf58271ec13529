using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using Titan.Abstractions;
using Titan.Host.Plugins;

namespace Titan.Host.Tests;

/// <summary>What is no file in the place of one, and what no program saved in the place of a checkpoint's parts, in a process of its own: it neither waits nor dies.</summary>
public sealed class SpecialFileTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("titan-special").FullName;

    public void Dispose() => Directory.Delete(folder, true);

    [Fact]
    public void A_pipe_a_device_and_a_huge_file_in_the_place_of_a_job_file_are_refused()
    {
        Pipe("job.toml");
        using (var huge = File.Create(Path.Combine(folder, "huge.toml"))) huge.SetLength(1L << 40);
        foreach (var (file, text) in new[] { (Path.Combine(folder, "job.toml"), "it is a named pipe"), ("/dev/zero", "it is a device"), (Path.Combine(folder, "huge.toml"), "expected at most 1,048,576") })
        {
            var (code, output) = TitanProcess.Run(["config", "check", "--job.config_file", file]);
            Assert.Contains($"job file '{file}' cannot be read: ", output, StringComparison.Ordinal);
            Assert.Contains(text, output, StringComparison.Ordinal);
            Assert.Equal((int)ExitCode.Usage, code);
        }
    }

    [Theory]
    [InlineData(PluginManifest.FileName, "a pipe", "it is a named pipe")]
    [InlineData(PluginManifest.FileName, "a huge file", "expected at most 1,048,576")]
    [InlineData(PluginManifest.FileName, "a link", "it is a link")]
    [InlineData("acme.dll", "a pipe", "its file 'acme.dll': it is a named pipe")]
    [InlineData("acme.dll", "a link", "its file 'acme.dll': it is a link")]
    public void In_a_plugin_folder_it_costs_that_plugin_alone(string file, string what, string reason)
    {
        var plugin = Directory.CreateDirectory(Path.Combine(folder, "acme")).FullName;
        File.WriteAllText(Path.Combine(plugin, PluginManifest.FileName), JsonSerializer.Serialize(
            new PluginManifest { Id = "acme", Version = "1.0.0", Contract = ">=0.2 <0.3", Assembly = "acme.dll", Files = [new PluginFile("acme.dll", new string('0', 64))] }, PluginManifest.Json));
        File.WriteAllText(Path.Combine(plugin, "acme.dll"), "");
        var path = Path.Combine(plugin, file);
        if (what == "a link") File.Move(path, Path.Combine(folder, "elsewhere"));
        else File.Delete(path);
        switch (what)
        {
            case "a pipe":
                Pipe(Path.Combine("acme", file));
                break;
            case "a link":
                File.CreateSymbolicLink(path, Path.Combine(folder, "elsewhere"));
                break;
            default:
                using (var huge = File.Create(path)) huge.SetLength(1L << 40);
                break;
        }

        var (code, output) = TitanProcess.Run(["plugin", "list", "--plugins.path", folder]);
        Assert.True(code == 0, output);
        Assert.Contains("titan.float8-tensorwise", output, StringComparison.Ordinal);
        (code, output) = TitanProcess.Run(["plugin", "verify", plugin]);
        Assert.Contains(reason, output, StringComparison.Ordinal);
        Assert.Equal((int)ExitCode.Plugin, code);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(0xff)]
    public void A_state_of_the_generator_that_libtorch_would_die_of_is_refused(byte value)
    {
        var job = TitanProcess.SmallJob(folder, 2, "--checkpoint.enable", "--checkpoint.interval", "1", "--checkpoint.no-last_save_model_only");
        var saved = TitanProcess.Run(job);
        Assert.True(saved.ExitCode == 0, saved.Output);
        var step = Path.Combine(folder, "checkpoint", "step-2");
        var bytes = File.ReadAllBytes(Path.Combine(step, "rng.safetensors"));
        bytes.AsSpan(8 + (int)BitConverter.ToInt64(bytes)).Fill(value);
        File.WriteAllBytes(Path.Combine(step, "rng.safetensors"), bytes);
        // Sealed again, as one who knows the format would.
        var manifest = JsonNode.Parse(File.ReadAllText(Path.Combine(step, "manifest.json")))!;
        manifest["files"]!.AsArray().Single(f => f!["name"]!.GetValue<string>() == "rng.safetensors")!["sha256"] = System.Convert.ToHexStringLower(SHA256.HashData(bytes));
        var text = manifest.ToJsonString();
        File.WriteAllText(Path.Combine(step, "manifest.json"), text);
        File.WriteAllText(Path.Combine(step, "manifest.json.sha256"), $"{System.Convert.ToHexStringLower(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(text)))}  manifest.json\n");

        var (code, output) = TitanProcess.Run(job);
        Assert.Contains("(rng.safetensors) holds no state of a generator", output, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", output, StringComparison.Ordinal);
        Assert.Equal((int)ExitCode.Data, code);
    }

    private void Pipe(string name)
    {
        using var make = Process.Start("mkfifo", Path.Combine(folder, name));
        make.WaitForExit();
    }
}
