using System.Diagnostics;
using System.Text;
using Titan.Kernels.Aten;
using Titan.Kernels.Cuda;
using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Cuda;

/// <summary>Runs kernels on CPU tensors in a child process under the address sanitizer, which gets a copy of every buffer in an allocation of its exact size.</summary>
internal sealed unsafe class SanitizedLauncher : IKernelLauncher, IDisposable
{
    private readonly Process child;
    private readonly StringBuilder report = new();

    public SanitizedLauncher(string program)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        // Fibers change stacks behind the sanitizer's back; its fake stacks do not survive that.
        start.Environment["ASAN_OPTIONS"] = "detect_stack_use_after_return=0:detect_leaks=0";
        child = Process.Start(start)!;
        child.ErrorDataReceived += (_, line) =>
        {
            lock (report) report.AppendLine(line.Data);
        };
        child.BeginErrorReadLine();
    }

    public DeviceType Device => DeviceType.CPU;

    public int BlocksToFill(Device device) => 3;

    /// <summary>Little, so that rows reach beyond it.</summary>
    public long SharedMemory(Device device) => 36 * 1024;

    public void Launch(string source, string kernel, Device device, LaunchGrid grid, params ReadOnlySpan<KernelArgument> arguments)
    {
        try
        {
            Send(kernel, grid, arguments);
            Receive(arguments);
        }
        catch (IOException)
        {
            child.WaitForExit();
            lock (report) throw new InvalidOperationException($"{kernel} ended its process:\n{report}");
        }
    }

    public void Dispose()
    {
        child.StandardInput.Close();
        child.WaitForExit();
        child.Dispose();
    }

    private void Send(string kernel, LaunchGrid grid, ReadOnlySpan<KernelArgument> arguments)
    {
        using var request = new MemoryStream();
        using var writer = new BinaryWriter(request);
        writer.Write(kernel.Length);
        writer.Write(Encoding.ASCII.GetBytes(kernel));
        foreach (var n in new[] { grid.X, grid.Y, 1u, grid.BlockX, grid.BlockY, 1u }) writer.Write(n);
        writer.Write((int)ThreadOrder.Random);
        writer.Write(99UL);
        writer.Write(arguments.Length);
        foreach (var argument in arguments)
        {
            // A null address is a value of eight zero bytes.
            var buffer = argument.Tensor is not null;
            writer.Write(buffer ? 1 : 0);
            writer.Write(buffer ? argument.Tensor!.numel() * argument.Tensor.element_size() : argument.Size);
            writer.Write(buffer ? Memory(argument.Tensor!) : BitConverter.GetBytes(argument.Bits).AsSpan(0, argument.Size));
        }

        writer.Flush();
        var stream = child.StandardInput.BaseStream;
        stream.Write(request.GetBuffer(), 0, (int)request.Length);
        stream.Flush();
    }

    private void Receive(ReadOnlySpan<KernelArgument> arguments)
    {
        var stream = child.StandardOutput.BaseStream;
        var length = new byte[4];
        Read(stream, length);
        var failure = new byte[BitConverter.ToInt32(length)];
        Read(stream, failure);
        foreach (var argument in arguments)
            if (argument.Tensor is { } tensor) Read(stream, Memory(tensor));
        if (failure.Length > 0) throw new InvalidOperationException(Encoding.UTF8.GetString(failure));
    }

    private static void Read(Stream stream, Span<byte> to)
    {
        if (stream.ReadAtLeast(to, to.Length, throwOnEndOfStream: false) < to.Length) throw new IOException("the child has gone");
    }

    private static Span<byte> Memory(Tensor tensor) => new((void*)TensorMemory.Address(tensor), (int)(tensor.numel() * tensor.element_size()));
}
