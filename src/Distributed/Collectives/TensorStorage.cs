using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Titan.Distributed.Collectives;

/// <summary>A tensor's memory, held while a collective reads or writes it, whatever happens to the handle that the caller has.</summary>
internal sealed partial class TensorStorage : IDisposable
{
    private readonly Tensor held;

    private TensorStorage(Tensor tensor)
    {
        // A handle of our own: the caller's may be disposed, or leave its scope, before the collective is done.
        held = tensor.detach().DetachFromDisposeScope();
        Address = Data(held.Handle);
        ElementBytes = held.element_size();
        Elements = held.numel();
        Type = tensor.dtype;
    }

    public nint Address { get; }

    public long ElementBytes { get; }

    public long Elements { get; }

    public long Bytes => Elements * ElementBytes;

    public ScalarType Type { get; }

    public static TensorStorage ToRead(Tensor tensor) => new(tensor);

    /// <summary>Tells autograd that the tensor's values change, as an in-place operation would: writing through the address does not.</summary>
    public static TensorStorage ToWrite(Tensor tensor)
    {
        using (var scope = NewDisposeScope())
        using (no_grad())
        {
            tensor.detach().view(-1).narrow(0, 0, 0).zero_();
        }

        return new TensorStorage(tensor);
    }

    public void Dispose() => held.Dispose();

    [LibraryImport("LibTorchSharp", EntryPoint = "THSTensor_data")]
    private static partial nint Data(nint tensor);
}
