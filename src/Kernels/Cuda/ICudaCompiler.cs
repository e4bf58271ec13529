namespace Titan.Kernels.Cuda;

/// <summary>Turns a CUDA source into what the driver loads.</summary>
public interface ICudaCompiler
{
    /// <summary>Which compiler, and which version: another one may give another image.</summary>
    string Version { get; }

    /// <summary>What the compiler is told besides the architecture.</summary>
    IReadOnlyList<string> Options { get; }

    /// <summary>The architectures that it knows, as numbers: 90 for compute capability 9.0.</summary>
    IReadOnlyList<int> Architectures { get; }

    /// <summary>Compiles one source.</summary>
    /// <param name="name">File name, for messages.</param>
    /// <param name="source">Its text.</param>
    /// <param name="headers">What it may include.</param>
    /// <param name="architecture"><c>sm_90</c> gives a binary, <c>compute_90</c> PTX, which the driver translates.</param>
    /// <exception cref="Abstractions.TitanException">The source does not compile; the message carries the compiler's log.</exception>
    byte[] Compile(string name, string source, IReadOnlyList<(string Name, string Text)> headers, string architecture);
}
