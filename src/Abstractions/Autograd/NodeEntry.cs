using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using static Titan.Abstractions.AutogradLibrary;

namespace Titan.Abstractions;

/// <summary>
/// What native code calls of a node: two function pointers, which carry no argument that says whose they are. Making a pointer of a delegate takes longer than all else that
/// a node needs, so an entry serves one node after another. There are as many as nodes were alive at once.
/// </summary>
internal sealed unsafe class NodeEntry
{
    private static readonly ConcurrentBag<NodeEntry> Free = [];

    // Native code calls these: they live as long as the process.
    private readonly Backward backward;
    private readonly Deleted deleted;
    private AutogradNode? node;

    private NodeEntry()
    {
        (backward, deleted) = (Run, Delete);
        (BackwardPointer, DeletedPointer) = (Marshal.GetFunctionPointerForDelegate(backward), Marshal.GetFunctionPointerForDelegate(deleted));
        GCHandle.Alloc(this);
    }

    /// <summary>The node's backward for native code.</summary>
    public nint BackwardPointer { get; }

    /// <summary>The node's end for native code.</summary>
    public nint DeletedPointer { get; }

    /// <summary>An entry for a node, which it keeps alive until native code is done with it.</summary>
    public static NodeEntry For(AutogradNode node)
    {
        var entry = Free.TryTake(out var free) ? free : new NodeEntry();
        entry.node = node;
        return entry;
    }

    /// <summary>Gives the entry back: native code will not call it again for this node.</summary>
    public void Release()
    {
        node = null;
        Free.Add(this);
    }

    private TensorArray Run(nint* gradients, int count) => node!.Run(gradients, count);

    private void Delete()
    {
        node!.Delete();
        Release();
    }
}
