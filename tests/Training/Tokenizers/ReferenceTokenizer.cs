using System.Runtime.InteropServices;

namespace Titan.Training.Tests.Tokenizers;

/// <summary>Hugging Face's own library: the oracle. It is there for Linux on x64 alone.</summary>
internal sealed class ReferenceTokenizer(string folder)
{
    private readonly global::Tokenizers.DotNet.Tokenizer tokenizer = new(Path.Combine(folder, "tokenizer.json"));

    public static bool IsThere => OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64;

    public int[] Encode(string text) => [.. tokenizer.Encode(text).Select(id => (int)id)];
}

/// <summary>A fact that is held to the oracle.</summary>
internal sealed class ReferenceFactAttribute : FactAttribute
{
    public ReferenceFactAttribute()
    {
        if (!ReferenceTokenizer.IsThere) Skip = "the reference library is there for Linux on x64 alone";
    }
}

/// <summary>The same, of cases.</summary>
internal sealed class ReferenceTheoryAttribute : TheoryAttribute
{
    public ReferenceTheoryAttribute()
    {
        if (!ReferenceTokenizer.IsThere) Skip = "the reference library is there for Linux on x64 alone";
    }
}
