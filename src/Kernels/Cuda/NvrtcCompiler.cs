using System.Runtime.InteropServices;
using System.Text;
using Titan.Abstractions;

namespace Titan.Kernels.Cuda;

/// <summary>NVIDIA's run-time compiler (NVRTC). Needs no GPU.</summary>
public sealed unsafe class NvrtcCompiler : ICudaCompiler
{
    private readonly delegate* unmanaged<out nint, byte*, byte*, int, byte**, byte**, int> createProgram;
    private readonly delegate* unmanaged<ref nint, int> destroyProgram;
    private readonly delegate* unmanaged<nint, int, byte**, int> compileProgram;
    private readonly delegate* unmanaged<nint, out nuint, int> logSize, ptxSize, cubinSize;
    private readonly delegate* unmanaged<nint, byte*, int> log, ptx, cubin;

    private NvrtcCompiler(nint library)
    {
        nint Export(string name) => NativeLibrary.GetExport(library, name);
        createProgram = (delegate* unmanaged<out nint, byte*, byte*, int, byte**, byte**, int>)Export("nvrtcCreateProgram");
        destroyProgram = (delegate* unmanaged<ref nint, int>)Export("nvrtcDestroyProgram");
        compileProgram = (delegate* unmanaged<nint, int, byte**, int>)Export("nvrtcCompileProgram");
        logSize = (delegate* unmanaged<nint, out nuint, int>)Export("nvrtcGetProgramLogSize");
        log = (delegate* unmanaged<nint, byte*, int>)Export("nvrtcGetProgramLog");
        ptxSize = (delegate* unmanaged<nint, out nuint, int>)Export("nvrtcGetPTXSize");
        ptx = (delegate* unmanaged<nint, byte*, int>)Export("nvrtcGetPTX");
        cubinSize = (delegate* unmanaged<nint, out nuint, int>)Export("nvrtcGetCUBINSize");
        cubin = (delegate* unmanaged<nint, byte*, int>)Export("nvrtcGetCUBIN");

        var version = (delegate* unmanaged<out int, out int, int>)Export("nvrtcVersion");
        Check(version(out var major, out var minor), "nvrtcVersion");
        Version = $"nvrtc {major}.{minor}";
        var count = (delegate* unmanaged<out int, int>)Export("nvrtcGetNumSupportedArchs");
        Check(count(out var number), "nvrtcGetNumSupportedArchs");
        var architectures = new int[number];
        var list = (delegate* unmanaged<int*, int>)Export("nvrtcGetSupportedArchs");
        fixed (int* to = architectures) Check(list(to), "nvrtcGetSupportedArchs");
        Architectures = architectures;
    }

    /// <inheritdoc />
    public string Version { get; }

    /// <inheritdoc />
    public IReadOnlyList<int> Architectures { get; }

    /// <inheritdoc />
    /// <remarks>The defaults, written out because results depend on them: subnormals are kept, division and square root are rounded correctly.</remarks>
    public IReadOnlyList<string> Options { get; } = ["--std=c++17", "--ftz=false", "--prec-div=true", "--prec-sqrt=true"];

    /// <summary>Loads libnvrtc from beside libtorch, TITAN_LIBTORCH, a pip install beside that, or the loader's path.</summary>
    /// <exception cref="TitanException">It is nowhere; the message names what was searched.</exception>
    public static NvrtcCompiler Load() =>
        new(NvrtcLocation.Load(NvrtcLocation.Folders(AppContext.BaseDirectory, ProgramVariables.LibTorch.Value)));

    /// <inheritdoc />
    public byte[] Compile(string name, string source, IReadOnlyList<(string Name, string Text)> headers, string architecture)
    {
        using var strings = new NativeStrings();
        var texts = strings.Array(headers.Select(h => h.Text));
        var names = strings.Array(headers.Select(h => h.Name));
        Check(createProgram(out var program, strings.One(source), strings.One(name), headers.Count, texts, names), "nvrtcCreateProgram");
        try
        {
            string[] options = [$"--gpu-architecture={architecture}", .. Options];
            var result = compileProgram(program, options.Length, strings.Array(options));
            if (result != 0)
            {
                var messages = Encoding.UTF8.GetString(Output(program, logSize, log)).Trim('\0', '\n', ' ');
                throw new TitanException(ExitCode.Hardware, $"{Version} could not compile {name} for {architecture} (error {result}): {messages}");
            }

            return architecture.StartsWith("sm_", StringComparison.Ordinal) ? Output(program, cubinSize, cubin) : Output(program, ptxSize, ptx);
        }
        finally
        {
            _ = destroyProgram(ref program);
        }
    }

    private static byte[] Output(nint program, delegate* unmanaged<nint, out nuint, int> size, delegate* unmanaged<nint, byte*, int> get)
    {
        Check(size(program, out var length), "nvrtc output size");
        var bytes = new byte[length];
        fixed (byte* to = bytes) Check(get(program, to), "nvrtc output");
        return bytes;
    }

    private static void Check(int result, string call)
    {
        if (result != 0) throw new TitanException(ExitCode.Hardware, $"{call} failed with error {result}; is libnvrtc whole, with its libnvrtc-builtins beside it?");
    }

    /// <summary>C strings for the length of a call.</summary>
    private sealed class NativeStrings : IDisposable
    {
        private readonly List<nint> blocks = [];

        public byte* One(string text)
        {
            var p = Marshal.StringToCoTaskMemUTF8(text);
            blocks.Add(p);
            return (byte*)p;
        }

        public byte** Array(IEnumerable<string> texts)
        {
            var all = texts.Select(t => (nint)One(t)).ToArray();
            var p = Marshal.AllocCoTaskMem(Math.Max(all.Length, 1) * sizeof(nint));
            blocks.Add(p);
            Marshal.Copy(all, 0, p, all.Length);
            return (byte**)p;
        }

        public void Dispose() => blocks.ForEach(Marshal.FreeCoTaskMem);
    }
}
