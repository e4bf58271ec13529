using System.Runtime.InteropServices;
using Titan.Abstractions;

namespace Titan.Distributed.Nccl;

/// <summary>
/// A stream beside torch's, so that collectives run while the model computes, and the events that order the two. By the CUDA driver's interface and libtorch's C interface.
/// </summary>
internal sealed unsafe class CudaCommunicationStream
{
    private const int Ready = 0, NotReady = 600;
    private const uint NonBlocking = 1, WithoutTiming = 2;

    private readonly delegate* unmanaged<nint, int> contextSetCurrent;
    private readonly delegate* unmanaged<nint*, uint, int> eventCreate;
    private readonly delegate* unmanaged<nint, nint, int> eventRecord;
    private readonly delegate* unmanaged<nint, int> eventQuery, eventDestroy, eventSynchronize;
    private readonly delegate* unmanaged<nint, nint, uint, int> streamWaitEvent;
    private readonly delegate* unmanaged<int, nint*, int> currentStream;
    private readonly nint context, stream;
    private readonly int device;

    /// <param name="driver">libcuda.</param>
    /// <param name="torch">libtorch_cuda.</param>
    /// <param name="device">Torch's number of the device.</param>
    public CudaCommunicationStream(nint driver, nint torch, int device)
    {
        nint Export(string name) => NativeLibrary.GetExport(driver, name);
        this.device = device;
        contextSetCurrent = (delegate* unmanaged<nint, int>)Export("cuCtxSetCurrent");
        eventCreate = (delegate* unmanaged<nint*, uint, int>)Export("cuEventCreate");
        eventRecord = (delegate* unmanaged<nint, nint, int>)Export("cuEventRecord");
        eventQuery = (delegate* unmanaged<nint, int>)Export("cuEventQuery");
        eventDestroy = (delegate* unmanaged<nint, int>)Export("cuEventDestroy_v2");
        eventSynchronize = (delegate* unmanaged<nint, int>)Export("cuEventSynchronize");
        streamWaitEvent = (delegate* unmanaged<nint, nint, uint, int>)Export("cuStreamWaitEvent");
        currentStream = (delegate* unmanaged<int, nint*, int>)NativeLibrary.GetExport(torch, "aoti_torch_get_current_cuda_stream");
        var deviceGet = (delegate* unmanaged<int*, int, int>)Export("cuDeviceGet");
        var contextRetain = (delegate* unmanaged<nint*, int, int>)Export("cuDevicePrimaryCtxRetain");
        var streamCreate = (delegate* unmanaged<nint*, uint, int>)Export("cuStreamCreate");
        int handle;
        Check(((delegate* unmanaged<uint, int>)Export("cuInit"))(0), "cuInit");
        Check(deviceGet(&handle, device), "cuDeviceGet");
        nint made;
        Check(contextRetain(&made, handle), "cuDevicePrimaryCtxRetain");
        context = made;
        MakeCurrent();
        Check(streamCreate(&made, NonBlocking), "cuStreamCreate");
        stream = made;
    }

    /// <summary>For a device of libtorch's CUDA build.</summary>
    public static CudaCommunicationStream Of(int device)
    {
        if (!NativeLibrary.TryLoad("libcuda.so.1", out var driver))
            throw new TitanException(ExitCode.Hardware, "the CUDA driver's library libcuda.so.1 was not found: this machine has no NVIDIA driver, or a container hides it");
        if (!NativeLibrary.TryLoad("libtorch_cuda.so", typeof(TorchSharp.torch).Assembly, null, out var torch))
            throw new TitanException(ExitCode.Hardware, "libtorch_cuda.so was not found: this build has the CPU's libtorch; build with -p:TorchBackend=cuda or set TITAN_LIBTORCH");
        return new(driver, torch, device);
    }

    /// <summary>Makes the device's context the calling thread's.</summary>
    public void MakeCurrent() => Check(contextSetCurrent(context), "cuCtxSetCurrent");

    /// <summary>Orders what is queued next after what torch has queued so far.</summary>
    /// <returns>The stream to queue on.</returns>
    public nint Begin()
    {
        MakeCurrent();
        var computed = Mark(Torch());
        Check(streamWaitEvent(stream, computed, 0), "cuStreamWaitEvent");
        // The driver keeps an event that is waited for.
        Check(eventDestroy(computed), "cuEventDestroy");
        return stream;
    }

    /// <summary>An event that is complete when what has been queued is.</summary>
    public nint End() => Mark(stream);

    /// <summary>Orders what torch queues next after the event. Does not block.</summary>
    public void Await(nint done)
    {
        MakeCurrent();
        Check(streamWaitEvent(Torch(), done, 0), "cuStreamWaitEvent");
    }

    /// <summary>Blocks until the event is complete.</summary>
    public void Synchronize(nint done)
    {
        MakeCurrent();
        Check(eventSynchronize(done), "cuEventSynchronize");
    }

    public bool IsComplete(nint done)
    {
        MakeCurrent();
        var code = eventQuery(done);
        if (code != NotReady) Check(code, "cuEventQuery");
        return code == Ready;
    }

    public void Release(nint done) => eventDestroy(done);

    private nint Mark(nint on)
    {
        nint made;
        Check(eventCreate(&made, WithoutTiming), "cuEventCreate");
        Check(eventRecord(made, on), "cuEventRecord");
        return made;
    }

    private nint Torch()
    {
        nint current;
        Check(currentStream(device, &current), "aoti_torch_get_current_cuda_stream");
        return current;
    }

    private void Check(int code, string function)
    {
        if (code != 0) throw new NcclException($"{function} on CUDA device {device}: error {code}");
    }
}
