using System.Runtime.InteropServices;

namespace Titan.Abstractions;

/// <summary>
/// The node functions that LibTorchSharp exports for custom autograd functions. Errors are kept by the library: ask <c>torch.CheckForErrors</c> after a call.
/// </summary>
internal static unsafe partial class AutogradLibrary
{
    private const string Library = "LibTorchSharp";

    private static readonly string[] Exports =
    [
        "THSAutograd_CSharpNode_ctor", "THSAutograd_CSharpNode_disposeSharedPtr", "THSAutograd_CSharpNode_disposeWeakPtr", "THSAutograd_CSharpNode_setNextEdges",
        "THSAutograd_CSharpNode_clearInputMetadata", "THSAutograd_Function_wrapOutputs", "THSAutograd_SavedVariable_ctor", "THSAutograd_SavedVariable_dispose",
        "THSAutograd_SavedVariable_unpack",
    ];

    /// <summary>A node: a shared and a weak reference to it, each on the native heap.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct NodePointers
    {
        /// <summary>Keeps the node alive; given up when the outputs hold it.</summary>
        public nint Shared;

        /// <summary>Finds the node as long as something keeps it alive.</summary>
        public nint Weak;
    }

    /// <summary>Tensors by their handles; a null handle is a missing tensor.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct TensorArray
    {
        /// <summary>The handles.</summary>
        public nint* Handles;

        /// <summary>How many.</summary>
        public long Count;
    }

    /// <summary>A node's backward: gradients of the outputs, whose handles the callee owns, to gradients of the inputs, whose handles the caller copies at once.</summary>
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    public delegate TensorArray Backward(nint* gradients, int count);

    /// <summary>Called when the node is gone, on whichever thread let go of it last.</summary>
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    public delegate void Deleted();

    /// <summary>Finds out whether this LibTorchSharp has the functions, before the first graph and not in the middle of a backward.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.RunFailed"/>, naming what is missing.</exception>
    public static void Check() => Check(NativeLibrary.Load(Library, typeof(AutogradLibrary).Assembly, null), sizeof(NodePointers), sizeof(TensorArray));

    /// <summary>The check of a loaded library against the layout that this class assumes.</summary>
    internal static void Check(nint library, int nodeSize, int arraySize)
    {
        var missing = Exports.Where(name => !NativeLibrary.TryGetExport(library, name, out _)).ToList();
        if (missing.Count > 0 || nodeSize != 2 * sizeof(nint) || arraySize != sizeof(nint) + sizeof(long))
            throw new TitanException(ExitCode.RunFailed,
                $"this LibTorchSharp does not fit: {(missing.Count > 0 ? $"it lacks {string.Join(", ", missing)}" : $"its nodes are {nodeSize} and its arrays {arraySize} bytes")}; " +
                $"custom autograd functions are built for TorchSharp 0.107; found {typeof(TorchSharp.torch).Assembly.GetName().Version}");
    }

    [LibraryImport(Library, EntryPoint = "THSAutograd_CSharpNode_ctor")]
    public static partial NodePointers NewNode(nint backward, nint deleted);

    [LibraryImport(Library, EntryPoint = "THSAutograd_CSharpNode_disposeSharedPtr")]
    public static partial void DisposeShared(NodePointers node);

    [LibraryImport(Library, EntryPoint = "THSAutograd_CSharpNode_disposeWeakPtr")]
    public static partial void DisposeWeak(NodePointers node);

    [LibraryImport(Library, EntryPoint = "THSAutograd_CSharpNode_setNextEdges")]
    public static partial void SetNextEdges(NodePointers node, TensorArray inputs, [MarshalAs(UnmanagedType.U1)] bool executable);

    [LibraryImport(Library, EntryPoint = "THSAutograd_CSharpNode_clearInputMetadata")]
    public static partial void ClearInputMetadata(NodePointers node);

    /// <summary><paramref name="allocate"/> gives memory for as many handles as the call returns.</summary>
    [LibraryImport(Library, EntryPoint = "THSAutograd_Function_wrapOutputs")]
    public static partial void WrapOutputs(TensorArray inputs, TensorArray notDifferentiable, TensorArray dirty, TensorArray outputs, NodePointers node, delegate* unmanaged[Cdecl]<nuint, nint*> allocate);

    [LibraryImport(Library, EntryPoint = "THSAutograd_SavedVariable_ctor")]
    public static partial nint Save(nint tensor, NodePointers node, [MarshalAs(UnmanagedType.U1)] bool inPlaceOnView);

    [LibraryImport(Library, EntryPoint = "THSAutograd_SavedVariable_dispose")]
    public static partial void DisposeSaved(nint saved);

    [LibraryImport(Library, EntryPoint = "THSAutograd_SavedVariable_unpack")]
    public static partial nint Unpack(nint saved, NodePointers node);
}
