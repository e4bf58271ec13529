using System.Runtime.InteropServices;
using System.Text;
using Titan.Kernels.Aten;
using Titan.Kernels.Cuda;
using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Cuda;

/// <summary>In which order the threads of a block run between barriers.</summary>
internal enum ThreadOrder
{
    Forward,
    Reverse,
    Random,
}

/// <summary>Runs kernels on CPU tensors in this process.</summary>
internal sealed unsafe class EmulatedLauncher : IKernelLauncher
{
    private readonly delegate* unmanaged<byte*, uint*, uint*, void**, int, ulong, byte*, nuint, int> launch;
    private readonly ThreadOrder order;
    private ulong launches;

    public EmulatedLauncher(string library)
    {
        launch = (delegate* unmanaged<byte*, uint*, uint*, void**, int, ulong, byte*, nuint, int>)NativeLibrary.GetExport(NativeLibrary.Load(library), "emulation_launch");
    }

    private EmulatedLauncher(EmulatedLauncher other, ThreadOrder order)
    {
        launch = other.launch;
        this.order = order;
    }

    public DeviceType Device => DeviceType.CPU;

    /// <summary>Few, so that kernels stride.</summary>
    public int BlocksToFill(Device device) => 5;

    /// <summary>Little, so that rows reach beyond it.</summary>
    public long SharedMemory(Device device) => 20 * 1024;

    public EmulatedLauncher In(ThreadOrder threads) => new(this, threads);

    public void Launch(string source, string kernel, Device device, LaunchGrid grid, params ReadOnlySpan<KernelArgument> arguments)
    {
        var values = stackalloc ulong[arguments.Length];
        var parameters = stackalloc void*[arguments.Length];
        for (var i = 0; i < arguments.Length; i++)
        {
            values[i] = !arguments[i].IsPointer ? arguments[i].Bits : arguments[i].Tensor is { } tensor ? (ulong)TensorMemory.Address(tensor) : 0;
            parameters[i] = values + i;
        }

        var blocks = stackalloc uint[] { grid.X, grid.Y, 1 };
        var threads = stackalloc uint[] { grid.BlockX, grid.BlockY, 1 };
        var error = stackalloc byte[512];
        fixed (byte* name = Encoding.UTF8.GetBytes(kernel + '\0'))
        {
            if (launch(name, blocks, threads, parameters, (int)order, launches++, error, 512) != 0) throw new InvalidOperationException(Marshal.PtrToStringUTF8((nint)error));
        }

        foreach (var argument in arguments) GC.KeepAlive(argument.Tensor);
    }
}
