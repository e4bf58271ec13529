using System.Reflection;
using System.Runtime.InteropServices;

namespace Titan.Kernels.Aten;

/// <summary>
/// libtorch's stable C ABI (torch/csrc/stable/c/shim.h, torch/csrc/inductor/aoti_torch/c/shim.h). Each function returns 0 on success; error texts go to stderr only,
/// so callers check their arguments first.
/// </summary>
internal static unsafe partial class Shim
{
    private const string Library = "torch_cpu";

    static Shim() => NativeLibrary.SetDllImportResolver(typeof(Shim).Assembly, Resolve);

    /// <summary>Version of the ABI that stack values are laid out for: 2.10.</summary>
    public const ulong Version = (2UL << 56) | (10UL << 48);

    [LibraryImport(Library, EntryPoint = "torch_call_dispatcher", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int CallDispatcher(string name, string overload, Span<ulong> stack, ulong version);

    [LibraryImport(Library, EntryPoint = "aoti_torch_new_tensor_handle")]
    public static partial int NewTensorHandle(nint tensor, out nint copy);

    [LibraryImport(Library, EntryPoint = "aoti_torch_view_dtype")]
    public static partial int ViewDtype(nint tensor, int dtype, out nint view);

    [SuppressGCTransition]
    [LibraryImport(Library, EntryPoint = "aoti_torch_get_dim")]
    public static partial int Dimensions(nint tensor, out long dimensions);

    [SuppressGCTransition]
    [LibraryImport(Library, EntryPoint = "aoti_torch_get_sizes")]
    public static partial int Sizes(nint tensor, out long* sizes);

    [SuppressGCTransition]
    [LibraryImport(Library, EntryPoint = "aoti_torch_get_strides")]
    public static partial int Strides(nint tensor, out long* strides);

    [LibraryImport(Library, EntryPoint = "torch_new_list_reserve_size")]
    public static partial int NewList(nuint size, out nint list);

    [LibraryImport(Library, EntryPoint = "torch_list_push_back")]
    public static partial int PushBack(nint list, ulong element);

    /// <summary>The native <c>operator new</c>: the dispatcher frees optional arguments with <c>delete</c>.</summary>
    [LibraryImport("libstdc++.so.6", EntryPoint = "_Znwm")]
    public static partial nint New(nuint size);

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path)
    {
        if (name != Library) return 0;
        // TorchSharp has loaded it already: ask for the same file, by the name it was loaded under.
        foreach (var candidate in new[] { "libtorch_cpu.so", "torch_cpu.dll", "libtorch_cpu.dylib" })
            if (NativeLibrary.TryLoad(candidate, assembly, path, out var handle)) return handle;
        return 0;
    }
}
