using System.Text;
using Titan.Kernels.Cuda;

namespace Titan.Kernels.Tests.Cuda;

/// <summary>A compiler whose images say what they were made of.</summary>
internal sealed class FakeCompiler : ICudaCompiler
{
    public List<string> Compiled { get; } = [];

    public string Version { get; set; } = "fake 1";

    public IReadOnlyList<string> Options { get; set; } = ["-fast"];

    public IReadOnlyList<int> Architectures { get; set; } = [80, 90];

    public byte[] Compile(string name, string source, IReadOnlyList<(string Name, string Text)> headers, string architecture)
    {
        Compiled.Add($"{name} {architecture}");
        return Encoding.ASCII.GetBytes($"image {Compiled.Count} of {name} for {architecture}");
    }
}
