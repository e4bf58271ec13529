// GPU time by kernel name, of any process: a library that CUDA loads into it (CUDA_INJECTION64_PATH) and that writes a table into the file KERNEL_TIMES when the process ends.
// The records that CUPTI writes have a version: KERNEL, MEMSET and MEMCPY are the newest structs of the header that this is built with (run.sh finds them).
#include <cupti.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr size_t buffer_bytes = 16 << 20;

struct Total {
    double milliseconds = 0;
    long calls = 0;
};

std::mutex gate;
std::map<std::string, Total> totals;

template <typename Record> void add(const std::string& name, const Record* record)
{
    auto& total = totals[name];
    total.milliseconds += (record->end - record->start) / 1e6;
    ++total.calls;
}

void add(const CUpti_Activity* record)
{
    switch (record->kind) {
    case CUPTI_ACTIVITY_KIND_KERNEL:
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL: {
        const auto* kernel = reinterpret_cast<const KERNEL*>(record);
        add(kernel->name ? kernel->name : "(no name)", kernel);
        break;
    }
    case CUPTI_ACTIVITY_KIND_MEMSET: add("(memset)", reinterpret_cast<const MEMSET*>(record)); break;
    case CUPTI_ACTIVITY_KIND_MEMCPY: {
        const auto* copy = reinterpret_cast<const MEMCPY*>(record);
        add("(memcpy, kind " + std::to_string(copy->copyKind) + ")", copy);
        break;
    }
    default: break;
    }
}

void CUPTIAPI buffer_wanted(uint8_t** buffer, size_t* bytes, size_t* most_records)
{
    *bytes = buffer_bytes;
    *buffer = static_cast<uint8_t*>(std::aligned_alloc(8, buffer_bytes));
    *most_records = 0; // as many as fit
}

void CUPTIAPI buffer_full(CUcontext, uint32_t, uint8_t* buffer, size_t, size_t filled)
{
    const std::lock_guard<std::mutex> lock(gate);
    CUpti_Activity* record = nullptr;
    while (cuptiActivityGetNextRecord(buffer, filled, &record) == CUPTI_SUCCESS) add(record);
    std::free(buffer);
}

void write_table()
{
    cuptiActivityFlushAll(1);
    const char* path = std::getenv("KERNEL_TIMES");
    FILE* out = path ? std::fopen(path, "w") : stderr;
    if (!out) return;
    const std::lock_guard<std::mutex> lock(gate);
    std::vector<std::pair<std::string, Total>> rows(totals.begin(), totals.end());
    std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.second.milliseconds > b.second.milliseconds; });
    double sum = 0;
    for (const auto& row : rows) sum += row.second.milliseconds;
    std::fprintf(out, "%12.3f ms in all\n", sum);
    for (const auto& row : rows) std::fprintf(out, "%12.3f ms %8ld x  %.150s\n", row.second.milliseconds, row.second.calls, row.first.c_str());
    if (path) std::fclose(out);
}

} // namespace

/// CUDA calls it once, when the process first uses it.
extern "C" __attribute__((visibility("default"))) int InitializeInjection()
{
    cuptiActivityRegisterCallbacks(buffer_wanted, buffer_full);
    for (const auto kind : {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_MEMSET, CUPTI_ACTIVITY_KIND_MEMCPY}) cuptiActivityEnable(kind);
    std::atexit(write_table);
    return 1;
}
