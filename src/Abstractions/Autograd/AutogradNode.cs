using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static Titan.Abstractions.AutogradLibrary;
using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// The node of one call of a <see cref="DifferentiableCall"/> in libtorch's graph. TorchSharp's own keeps a copy of every output, keeps what was saved until the whole graph
/// dies, and leaves the handles of backward to the collector where backward runs on a thread of libtorch's (as that of CUDA nodes does). This one keeps nothing of the
/// outputs, lets go of what was saved as soon as its backward has run, and owns every handle that it makes:
/// <list type="bullet">
/// <item>the handles of incoming gradients and of whatever backward makes go with the scope of that backward;</item>
/// <item>those of the results must live until native code has copied them, which is after backward has returned: they go when the next node runs on this thread, and
/// at the latest with the node.</item>
/// </list>
/// </summary>
internal sealed unsafe class AutogradNode
{
    private static readonly Lazy<bool> Checked = new(() =>
    {
        AutogradLibrary.Check();
        return true;
    });

    /// <summary>The results of the node that ran last on this thread, which have been copied by the time another one runs. Not the node: it would keep a plugin's function alive.</summary>
    [ThreadStatic]
    private static Results? last;

    private static long alive;

    /// <summary>Where <see cref="Room"/> finds room for the handles of a call's outputs.</summary>
    [ThreadStatic]
    private static nint* wrapped;

    private readonly DifferentiableCall call;
    private readonly FailureSite? site = FailureSite.Current;
    private readonly int inputs;
    private readonly List<nint> saved = [];
    private NodePointers pointers;
    private Results? results;
    private nint* handles;
    private bool ran;

    private AutogradNode(DifferentiableCall call, int inputs)
    {
        _ = Checked.Value;
        (this.call, this.inputs) = (call, inputs);
        var entry = NodeEntry.For(this);
        try
        {
            pointers = NewNode(entry.BackwardPointer, entry.DeletedPointer);
            CheckForErrors();
        }
        catch
        {
            entry.Release();
            throw;
        }

        Interlocked.Increment(ref alive);
    }

    /// <summary>Nodes of graphs that something still holds.</summary>
    internal static long Alive => Interlocked.Read(ref alive);

    /// <summary>Runs a call's forward, and makes a node of it where a gradient can be asked for.</summary>
    /// <returns>The outputs, in the caller's dispose scope.</returns>
    public static Tensor[] Apply(DifferentiableCall call, ReadOnlySpan<Tensor> inputs)
    {
        using var scope = NewDisposeScope();
        var given = inputs.ToArray();
        var needs = new bool[given.Length];
        if (is_grad_enabled()) for (var i = 0; i < given.Length; i++) needs[i] = given[i].requires_grad;
        if (!needs.Contains(true))
        {
            call.Begin(null, needs);
            var outputs = Forward(call, given);
            // An input that comes back as the output gets a handle of its own, as a node would give it. By reference: TorchSharp's equality compares all elements, and waits for the device.
            return [.. outputs.Select(o => (Array.Exists(given, g => ReferenceEquals(g, o)) ? o.alias() : o).MoveToOuterDisposeScope())];
        }

        var node = new AutogradNode(call, given.Length);
        try
        {
            call.Begin(node, needs);
            return [.. node.Attach(given).Select(o => o.MoveToOuterDisposeScope())];
        }
        finally
        {
            // The outputs hold the node; where forward has failed, nothing does.
            DisposeShared(node.pointers);
            GC.KeepAlive(given);
        }
    }

    /// <summary>Keeps a tensor for backward. Detached, so that an output of this node does not hold the node; the detached tensor has the same version counter.</summary>
    public void Save(Tensor tensor)
    {
        using var detached = tensor.detach();
        saved.Add(AutogradLibrary.Save(detached.Handle, pointers, false));
        CheckForErrors();
    }

    /// <summary>A tensor that was kept, under a handle of the current scope.</summary>
    /// <exception cref="ExternalException">It was written to since.</exception>
    public Tensor Unpack(int index)
    {
        if (saved[index] == 0) throw new InvalidOperationException($"{call.Name}: saved tensor {index} was taken before");
        var handle = AutogradLibrary.Unpack(saved[index], pointers);
        CheckForErrors();
        return Tensor.UnsafeCreateTensor(handle);
    }

    private static Tensor[] Forward(DifferentiableCall call, Tensor[] inputs)
    {
        using var none = no_grad();
        return call.RunForward(inputs);
    }

    private Tensor[] Attach(Tensor[] given)
    {
        var from = Array.ConvertAll(given, t => t.Handle);
        fixed (nint* first = from)
        {
            var sources = new TensorArray { Handles = first, Count = from.Length };
            SetNextEdges(pointers, sources, true);
            CheckForErrors();
            ClearInputMetadata(pointers);
            CheckForErrors();
            var outputs = Forward(call, given);
            var raw = Array.ConvertAll(outputs, t => t.Handle);
            var results = new nint[raw.Length];
            fixed (nint* made = raw, room = results)
            {
                wrapped = room;
                WrapOutputs(sources, default, default, new TensorArray { Handles = made, Count = raw.Length }, pointers, &Room);
            }

            GC.KeepAlive(outputs);
            CheckForErrors();
            return Array.ConvertAll(results, Tensor.UnsafeCreateTensor);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static nint* Room(nuint count) => wrapped;

    /// <summary>The node's backward: takes over the handles of the gradients, and gives handles that native code copies at once.</summary>
    internal TensorArray Run(nint* gradients, int count)
    {
        last?.Release();
        last = null;
        Tensor?[]? made = null;
        BackwardPass.Enter();
        try
        {
            using var scope = NewDisposeScope();
            var secondOrder = is_grad_enabled();
            using var none = no_grad();
            // Whatever happens next, the handles are this method's to give back.
            var given = new Tensor?[count];
            for (var i = 0; i < count; i++) given[i] = gradients[i] == 0 ? null : Tensor.UnsafeCreateTensor(gradients[i]);
            if (secondOrder) throw new InvalidOperationException($"{call.Name}: gradients of gradients (create_graph) are not supported");
            if (ran) throw new InvalidOperationException($"{call.Name}: backward ran a second time through the same graph; its saved tensors are released after the first (retain_graph is not supported)");
            // Where a later function failed, its gradient is missing.
            if (given.Any(g => g is not null))
            {
                made = call.RunBackward(given);
                if (made.Length != inputs) throw new InvalidOperationException($"{call.Name}: its backward gave {made.Length} gradients; expected {inputs}, one for each input");
                foreach (var gradient in made) gradient?.DetachFromDisposeScope();
            }
        }
        catch (Exception exception)
        {
            made = null;
            Name(exception);
            BackwardFailure.Keep(exception);
        }
        finally
        {
            ran = true;
            DropSaved();
            BackwardPass.Leave();
        }

        // A backward within this one has left results of its own.
        last?.Release();
        return Keep(made);
    }

    /// <summary>Leaves the layer's name on what its backward failed with. An exception of a plugin's own may throw even here.</summary>
    private void Name(Exception exception)
    {
        try
        {
            site?.Note(exception);
        }
        catch (Exception)
        {
            // The failure itself is kept all the same.
        }
    }

    private TensorArray Keep(Tensor?[]? made)
    {
        if (handles is null) handles = (nint*)NativeMemory.AllocZeroed((nuint)Math.Max(inputs, 1), (nuint)sizeof(nint));
        for (var i = 0; i < inputs; i++) handles[i] = made?[i]?.Handle ?? 0;
        last = results = new Results(made ?? []);
        return new TensorArray { Handles = handles, Count = inputs };
    }

    /// <summary>Lets go of one tensor that was kept.</summary>
    public void Drop(int index)
    {
        if (saved[index] != 0) DisposeSaved(saved[index]);
        saved[index] = 0;
    }

    private void DropSaved()
    {
        for (var i = 0; i < saved.Count; i++) Drop(i);
        saved.Clear();
    }

    /// <summary>The node's end, on whichever thread let go of it last.</summary>
    internal void Delete()
    {
        DropSaved();
        results?.Release();
        DisposeWeak(pointers);
        NativeMemory.Free(handles);
        handles = null;
        Interlocked.Decrement(ref alive);
    }

    /// <summary>Handles that native code copies after backward has returned.</summary>
    private sealed class Results(Tensor?[] tensors)
    {
        private Tensor?[]? left = tensors;

        /// <summary>Gives the handles back, once: the next node on the thread asks for it, and the end of the node, wherever that is.</summary>
        public void Release()
        {
            foreach (var tensor in Interlocked.Exchange(ref left, null) ?? []) tensor?.Dispose();
        }
    }
}
