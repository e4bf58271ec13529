using System.Diagnostics;

namespace Titan.Host.Tests.Launch;

/// <summary>eng/gpu/kernel_times.cpp, built with a stand-in for CUPTI that delivers the records of a few launches.</summary>
public sealed class KernelTimesTests : IDisposable
{
    private const string Cupti = """
        #include <cstddef>
        #include <cstdint>
        #define CUPTIAPI
        typedef void* CUcontext;
        typedef int CUptiResult;
        enum { CUPTI_SUCCESS = 0 };
        typedef enum { CUPTI_ACTIVITY_KIND_MEMCPY = 1, CUPTI_ACTIVITY_KIND_MEMSET = 2, CUPTI_ACTIVITY_KIND_KERNEL = 3, CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL = 10 } CUpti_ActivityKind;
        struct CUpti_Activity { CUpti_ActivityKind kind; };
        struct Kernel7 { CUpti_ActivityKind kind; uint64_t start, end; const char* name; };
        struct Memset4 { CUpti_ActivityKind kind; uint64_t start, end; };
        struct Memcpy5 { CUpti_ActivityKind kind; uint8_t copyKind; uint64_t start, end; };
        extern "C" CUptiResult cuptiActivityRegisterCallbacks(void (*)(uint8_t**, size_t*, size_t*), void (*)(CUcontext, uint32_t, uint8_t*, size_t, size_t));
        extern "C" CUptiResult cuptiActivityEnable(CUpti_ActivityKind);
        extern "C" CUptiResult cuptiActivityFlushAll(uint32_t);
        extern "C" CUptiResult cuptiActivityGetNextRecord(uint8_t*, size_t, CUpti_Activity**);
        """;

    private const string Launches = """
        #include "cupti.h"
        static void (*wanted)(uint8_t**, size_t*, size_t*);
        static void (*full)(CUcontext, uint32_t, uint8_t*, size_t, size_t);
        static int enabled;
        static Kernel7 kernels[] = { { CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, 0, 1500000, "small" }, { CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, 10, 4000010, "large<float>" },
            { CUPTI_ACTIVITY_KIND_KERNEL, 0, 500000, "small" }, { CUPTI_ACTIVITY_KIND_KERNEL, 0, 1000, nullptr } };
        static Memset4 set = { CUPTI_ACTIVITY_KIND_MEMSET, 0, 250000 };
        static Memcpy5 copy = { CUPTI_ACTIVITY_KIND_MEMCPY, 8, 0, 3000000 };
        static CUpti_Activity* records[] = { (CUpti_Activity*)&kernels[0], (CUpti_Activity*)&kernels[1], (CUpti_Activity*)&kernels[2], (CUpti_Activity*)&kernels[3], (CUpti_Activity*)&set, (CUpti_Activity*)&copy };
        extern "C" CUptiResult cuptiActivityRegisterCallbacks(void (*w)(uint8_t**, size_t*, size_t*), void (*f)(CUcontext, uint32_t, uint8_t*, size_t, size_t)) { wanted = w; full = f; return 0; }
        extern "C" CUptiResult cuptiActivityEnable(CUpti_ActivityKind) { ++enabled; return 0; }
        extern "C" CUptiResult cuptiActivityFlushAll(uint32_t) {
            uint8_t* buffer; size_t size, most; wanted(&buffer, &size, &most); full(nullptr, 0, buffer, size, sizeof records); return 0; }
        extern "C" CUptiResult cuptiActivityGetNextRecord(uint8_t*, size_t filled, CUpti_Activity** record) {
            size_t next = 0; while (*record && next < filled / sizeof *records && records[next++] != *record) { } if (next >= filled / sizeof *records) return 1; *record = records[next]; return 0; }
        extern "C" int InitializeInjection();
        int main() { return InitializeInjection() == 1 && enabled == 3 ? 0 : 1; }
        """;

    private readonly string folder = Directory.CreateTempSubdirectory("titan-kernel-times-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [FactWithTools("g++")]
    public void The_time_of_each_kernel_is_summed_by_name_and_the_longest_comes_first()
    {
        File.WriteAllText(Path.Combine(folder, "cupti.h"), Cupti);
        File.WriteAllText(Path.Combine(folder, "process.cpp"), Launches);
        var source = Path.Combine(Path.GetDirectoryName(Titan.Training.Data.SampleAssets.Root)!, "eng", "gpu", "kernel_times.cpp");
        var program = Path.Combine(folder, "process");
        Assert.Equal((0, ""), Run("g++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-DKERNEL=Kernel7", "-DMEMSET=Memset4", "-DMEMCPY=Memcpy5", $"-I{folder}", source, Path.Combine(folder, "process.cpp"), "-o", program));
        var (exit, errors) = Run(program);
        Assert.True(exit == 0, errors);
        var lines = File.ReadAllLines(Path.Combine(folder, "times.txt")).Select(l => l.Trim()).ToArray();
        Assert.Equal(["9.251 ms in all", "4.000 ms        1 x  large<float>", "3.000 ms        1 x  (memcpy, kind 8)", "2.000 ms        2 x  small", "0.250 ms        1 x  (memset)", "0.001 ms        1 x  (no name)"], lines);
    }

    private (int Exit, string Errors) Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardError = true };
        start.Environment["KERNEL_TIMES"] = Path.Combine(folder, "times.txt");
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, errors);
    }
}
