using System.Diagnostics;
using System.Runtime.InteropServices;
using Titan.Distributed.Collectives;
using Titan.Distributed.Mpi;
using Titan.Distributed.Nccl;
using static TorchSharp.torch;

namespace Titan.Distributed.Tests.Nccl;

/// <summary>The stand-in for NCCL and CUDA, built by g++: ranks are threads, device memory is the CPU's.</summary>
public sealed unsafe class FakeNccl
{
    private readonly nint library;

    public FakeNccl()
    {
        Path = System.IO.Path.Combine(AppContext.BaseDirectory, "Nccl", $"libfake_nccl.{Environment.ProcessId}.so");
        var source = System.IO.Path.Combine(AppContext.BaseDirectory, "Nccl", "fake_nccl.cpp");
        using (var process = Process.Start(new ProcessStartInfo("g++", ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", source, "-o", Path]) { RedirectStandardError = true })!)
        {
            var errors = process.StandardError.ReadToEnd();
            process.WaitForExit();
            Assert.True(process.ExitCode == 0, errors);
        }

        library = NativeLibrary.Load(Path);
        File.Delete(Path);
        Nccl = new NcclLibrary(library);
    }

    public string Path { get; }

    internal NcclLibrary Nccl { get; }

    internal CommunicationCounter Counter { get; } = new();

    /// <summary>What was called since the last time.</summary>
    public string[] Log() => Marshal.PtrToStringUTF8(((delegate* unmanaged<nint>)NativeLibrary.GetExport(library, "fake_log"))())!.Split(';', StringSplitOptions.RemoveEmptyEntries);

    public void AsyncError(int code) => ((delegate* unmanaged<int, void>)NativeLibrary.GetExport(library, "fake_async_error"))(code);

    public void NotReady(bool value) => ((delegate* unmanaged<int, void>)NativeLibrary.GetExport(library, "fake_not_ready"))(value ? 1 : 0);

    /// <summary>Runs every rank of a group in a thread of its own.</summary>
    internal void OnRanks(int size, Action<NcclProcessGroup> action)
    {
        var id = Nccl.UniqueId();
        var failures = new List<Exception>();
        var threads = Enumerable.Range(0, size).Select(rank => new Thread(() =>
        {
            try
            {
                action(Group(id, rank, size));
            }
            catch (Exception e)
            {
                lock (failures) failures.Add(e);
            }
        }) { IsBackground = true }).ToList();
        threads.ForEach(t => t.Start());
        var ended = threads.All(t => t.Join(TimeSpan.FromSeconds(60)));
        lock (failures) Assert.True(failures.Count == 0, string.Join("\n", failures));
        Assert.True(ended, "a rank did not end");
    }

    private NcclProcessGroup Group(NcclUniqueId id, int rank, int size)
    {
        var stream = new CudaCommunicationStream(library, library, device: 0);
        var members = new MpiCommunicator(1, 0, rank, [.. Enumerable.Range(0, size)]);
        return new NcclProcessGroup("dp_shard", Nccl, Nccl.Join(id, rank, size), members, stream, CPU, Counter);
    }
}
