using System.Runtime.InteropServices;
using Titan.Abstractions;

namespace Titan.Kernels.Cuda;

/// <summary>The part of the CUDA driver API that loads and launches kernels, in the device's primary context: the one that libtorch uses.</summary>
internal sealed unsafe class CudaDriver
{
    /// <summary>Bytes of shared memory that a block may have beside what its kernel declares without <see cref="AllowShared"/>.</summary>
    public const uint SharedWithoutAsking = 24 * 1024;

    private const int ComputeCapabilityMajor = 75, ComputeCapabilityMinor = 76, Multiprocessors = 16, MaxSharedByAsking = 97, MaxDynamicShared = 8;

    private readonly delegate* unmanaged<out int, int, int> deviceGet;
    private readonly delegate* unmanaged<out int, int, int, int> deviceGetAttribute;
    private readonly delegate* unmanaged<byte*, int, int, int> deviceGetName;
    private readonly delegate* unmanaged<out nuint, out nuint, int> memGetInfo;
    private readonly delegate* unmanaged<out nint, int, int> primaryContextRetain;
    private readonly delegate* unmanaged<out nint, int> contextGetCurrent;
    private readonly delegate* unmanaged<nint, int> contextSetCurrent;
    private readonly delegate* unmanaged<out nint, byte*, int> moduleLoadData;
    private readonly delegate* unmanaged<out nint, nint, byte*, int> moduleGetFunction;
    private readonly delegate* unmanaged<nint, int, int, int> funcSetAttribute;
    private readonly delegate* unmanaged<nint, uint, uint, uint, uint, uint, uint, uint, nint, void**, void**, int> launchKernel;
    private readonly delegate* unmanaged<out nint, uint, int> eventCreate;
    private readonly delegate* unmanaged<nint, nint, int> eventRecord;
    private readonly delegate* unmanaged<nint, int> eventQuery, eventSynchronize;
    private readonly delegate* unmanaged<out float, nint, nint, int> eventElapsedTime;
    private readonly delegate* unmanaged<int, out nint, int> getErrorName;

    private CudaDriver(nint library)
    {
        nint Export(string name) => NativeLibrary.GetExport(library, name);
        deviceGet = (delegate* unmanaged<out int, int, int>)Export("cuDeviceGet");
        deviceGetAttribute = (delegate* unmanaged<out int, int, int, int>)Export("cuDeviceGetAttribute");
        deviceGetName = (delegate* unmanaged<byte*, int, int, int>)Export("cuDeviceGetName");
        memGetInfo = (delegate* unmanaged<out nuint, out nuint, int>)Export("cuMemGetInfo_v2");
        primaryContextRetain = (delegate* unmanaged<out nint, int, int>)Export("cuDevicePrimaryCtxRetain");
        contextGetCurrent = (delegate* unmanaged<out nint, int>)Export("cuCtxGetCurrent");
        contextSetCurrent = (delegate* unmanaged<nint, int>)Export("cuCtxSetCurrent");
        moduleLoadData = (delegate* unmanaged<out nint, byte*, int>)Export("cuModuleLoadData");
        moduleGetFunction = (delegate* unmanaged<out nint, nint, byte*, int>)Export("cuModuleGetFunction");
        funcSetAttribute = (delegate* unmanaged<nint, int, int, int>)Export("cuFuncSetAttribute");
        launchKernel = (delegate* unmanaged<nint, uint, uint, uint, uint, uint, uint, uint, nint, void**, void**, int>)Export("cuLaunchKernel");
        eventCreate = (delegate* unmanaged<out nint, uint, int>)Export("cuEventCreate");
        eventRecord = (delegate* unmanaged<nint, nint, int>)Export("cuEventRecord");
        eventQuery = (delegate* unmanaged<nint, int>)Export("cuEventQuery");
        eventSynchronize = (delegate* unmanaged<nint, int>)Export("cuEventSynchronize");
        eventElapsedTime = (delegate* unmanaged<out float, nint, nint, int>)Export("cuEventElapsedTime");
        getErrorName = (delegate* unmanaged<int, out nint, int>)Export("cuGetErrorName");
        var init = (delegate* unmanaged<uint, int>)Export("cuInit");
        Check(init(0), "cuInit");
    }

    /// <summary>Loads the driver's library.</summary>
    public static CudaDriver Open(string library = "libcuda.so.1")
    {
        if (!NativeLibrary.TryLoad(library, out var handle))
            throw new TitanException(ExitCode.Hardware, $"the CUDA driver's library {library} was not found: this machine has no NVIDIA driver, or a container hides it");
        return new CudaDriver(handle);
    }

    /// <summary>What the driver calls a device.</summary>
    /// <param name="ordinal">Its number among the visible ones, as torch counts.</param>
    public int Device(int ordinal)
    {
        Check(deviceGet(out var device, ordinal), $"cuDeviceGet of device {ordinal}");
        return device;
    }

    /// <summary>The device's model name.</summary>
    public string Name(int device)
    {
        const int longest = 256;
        var text = stackalloc byte[longest];
        Check(deviceGetName(text, longest, device), "cuDeviceGetName");
        return Marshal.PtrToStringUTF8((nint)text)!;
    }

    /// <summary>Bytes of the current context's device: free, and all there are.</summary>
    public (long Free, long Total) Memory()
    {
        Check(memGetInfo(out var free, out var total), "cuMemGetInfo");
        return ((long)free, (long)total);
    }

    /// <summary>Compute capability times ten.</summary>
    public int ComputeCapability(int device) => Attribute(device, ComputeCapabilityMajor) * 10 + Attribute(device, ComputeCapabilityMinor);

    /// <summary>How many multiprocessors the device has.</summary>
    public int MultiprocessorCount(int device) => Attribute(device, Multiprocessors);

    /// <summary>Bytes of shared memory that a block may have at most.</summary>
    public int SharedMemory(int device) => Attribute(device, MaxSharedByAsking);

    /// <summary>The device's primary context. It is never released: libtorch holds it to the end of the process too.</summary>
    public nint PrimaryContext(int device)
    {
        Check(primaryContextRetain(out var context, device), "cuDevicePrimaryCtxRetain");
        return context;
    }

    /// <summary>Makes a context this thread's.</summary>
    /// <returns>The one that was; 0 if there was none.</returns>
    public nint Enter(nint context)
    {
        Check(contextGetCurrent(out var current), "cuCtxGetCurrent");
        if (current != context) Check(contextSetCurrent(context), "cuCtxSetCurrent");
        return current;
    }

    /// <summary>Loads a binary or PTX into the current context.</summary>
    public nint Load(byte[] image, string name)
    {
        // PTX is a C string: one more byte ends it.
        byte[] ended = [.. image, 0];
        fixed (byte* p = ended)
        {
            Check(moduleLoadData(out var module, p), $"cuModuleLoadData of {name}");
            return module;
        }
    }

    /// <summary>A kernel of a module.</summary>
    public nint Function(nint module, string name)
    {
        var text = Marshal.StringToCoTaskMemUTF8(name);
        try
        {
            Check(moduleGetFunction(out var function, module, (byte*)text), $"cuModuleGetFunction of {name}");
            return function;
        }
        finally
        {
            Marshal.FreeCoTaskMem(text);
        }
    }

    /// <summary>Lets blocks of a kernel have so many bytes of shared memory beside what it declares.</summary>
    public void AllowShared(nint function, string name, uint bytes) =>
        Check(funcSetAttribute(function, MaxDynamicShared, (int)bytes), $"cuFuncSetAttribute of {name}: {bytes} bytes of shared memory");

    /// <summary>Queues a launch on a stream.</summary>
    public void Launch(nint function, string name, LaunchGrid grid, nint stream, void** parameters) =>
        Check(launchKernel(function, grid.X, grid.Y, 1, grid.BlockX, grid.BlockY, 1, grid.Shared, stream, parameters, null), $"cuLaunchKernel of {name} {grid}");

    /// <summary>An event in the current context, for the rest of the process.</summary>
    public nint NewEvent()
    {
        Check(eventCreate(out var created, 0), "cuEventCreate");
        return created;
    }

    /// <summary>Queues an event on a stream.</summary>
    public void Record(nint recorded, nint stream) => Check(eventRecord(recorded, stream), "cuEventRecord");

    /// <summary>Whether a stream has reached an event.</summary>
    public bool HasPassed(nint recorded)
    {
        const int notReady = 600;
        var result = eventQuery(recorded);
        if (result != notReady) Check(result, "cuEventQuery");
        return result == 0;
    }

    /// <summary>Waits for the second of two events.</summary>
    /// <returns>Seconds between them, on the device's clock.</returns>
    public double SecondsBetween(nint first, nint second)
    {
        Check(eventSynchronize(second), "cuEventSynchronize");
        Check(eventElapsedTime(out var milliseconds, first, second), "cuEventElapsedTime");
        return milliseconds / 1e3;
    }

    private int Attribute(int device, int attribute)
    {
        Check(deviceGetAttribute(out var value, attribute, device), $"cuDeviceGetAttribute {attribute}");
        return value;
    }

    private void Check(int result, string call)
    {
        if (result == 0) return;
        var name = getErrorName(result, out var text) == 0 ? Marshal.PtrToStringUTF8(text) : null;
        throw new TitanException(ExitCode.Hardware, $"{call} failed: {name ?? "unknown error"} ({result})");
    }
}
