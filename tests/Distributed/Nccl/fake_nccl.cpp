// A stand-in for libnccl, the CUDA driver and libtorch's stream, with their interfaces, on host memory. Ranks are threads of one process; a collective is done when the call
// returns. It checks what a real library would crash on: the id passed by value, handles, types, streams. What was called, in order, can be read back.
#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace {

constexpr int kSuccess = 0, kInvalidArgument = 4, kInvalidUsage = 5;
constexpr uintptr_t kContext = 0xC0, kTorchStream = 0x7000, kCommStream = 0x5000;

struct UniqueId { char bytes[128]; };

std::mutex log_gate;
std::string log_text;
int async_error = 0, not_ready = 0;
thread_local std::string last_error;
thread_local uintptr_t current_context = 0;

void note(const std::string& what) { std::lock_guard<std::mutex> lock(log_gate); log_text += what + ";"; }
int fail(int code, const std::string& why) { last_error = why; return code; }

struct Message { char* at; size_t bytes; int peer; bool taken; };

// What the ranks of one communicator show each other.
struct World {
    int size = 0, arrived = 0, joined = 0;
    long generation = 0;
    std::mutex gate;
    std::condition_variable moved;
    std::vector<const void*> inputs;
    // What each rank has sent and its receivers have not taken yet.
    std::vector<std::deque<Message*>> sends;

    void meet() {
        std::unique_lock<std::mutex> lock(gate);
        long mine = generation;
        if (++arrived == size) { arrived = 0; generation++; moved.notify_all(); }
        else moved.wait(lock, [&] { return generation != mine; });
    }
};

struct Comm { uint32_t magic; World* world; int rank; std::vector<Message> sends, receives; };

std::mutex worlds_gate;
std::map<std::string, World*> worlds;
thread_local int group_depth = 0;
thread_local Comm* group_comm = nullptr;

int check(Comm* comm, void* stream) {
    if (!comm || comm->magic != 0xcafe) return fail(kInvalidArgument, "not a communicator");
    if ((uintptr_t)stream != kCommStream) return fail(kInvalidArgument, "not the communication stream");
    if (current_context != kContext) return fail(1, "no CUDA context is current");
    return kSuccess;
}

size_t width(int type) {
    switch (type) { case 1: return 1; case 2: case 7: return 4; case 4: case 8: return 8; case 9: return 2; default: return 0; }
}

template <typename T> void combine(T* out, const std::vector<const void*>& in, size_t offset, size_t count, int op) {
    for (size_t i = 0; i < count; i++) {
        T value = ((const T*)in[0])[offset + i];
        for (size_t r = 1; r < in.size(); r++) {
            T next = ((const T*)in[r])[offset + i];
            // As NCCL may: a comparison with NaN is false, and NaN is lost.
            value = op == 0 ? value + next : op == 2 ? (next > value || value != value ? next : value) : (next < value || value != value ? next : value);
        }
        out[i] = value;
    }
}

int reduce(Comm* comm, const void* in, void* out, size_t offset, size_t count, int type, int op) {
    World& w = *comm->world;
    w.inputs[comm->rank] = in;
    w.meet();
    std::vector<char> result(count * width(type));
    switch (type) {
        case 7: combine((float*)result.data(), w.inputs, offset, count, op); break;
        case 8: combine((double*)result.data(), w.inputs, offset, count, op); break;
        case 2: combine((int32_t*)result.data(), w.inputs, offset, count, op); break;
        case 4: combine((int64_t*)result.data(), w.inputs, offset, count, op); break;
        default: return fail(kInvalidArgument, "the stand-in cannot reduce this type");
    }
    w.meet();
    memcpy(out, result.data(), result.size());
    return kSuccess;
}

}  // namespace

extern "C" {

const char* fake_log() { static std::string copy; std::lock_guard<std::mutex> lock(log_gate); copy = log_text; log_text.clear(); return copy.c_str(); }
void fake_async_error(int code) { async_error = code; }
void fake_not_ready(int value) { not_ready = value; }

int ncclGetVersion(int* version) { *version = 22203; return kSuccess; }
const char* ncclGetErrorString(int code) { return code == kInvalidArgument ? "invalid argument" : code == kInvalidUsage ? "invalid usage" : code == 6 ? "remote process exited" : "error"; }
const char* ncclGetLastError(void*) { return last_error.c_str(); }
int ncclGetUniqueId(UniqueId* id) {
    static int made = 0;
    made++;
    for (int i = 0; i < 128; i++) id->bytes[i] = (char)(i * 7 + made);
    return kSuccess;
}
int ncclCommInitRank(Comm** comm, int size, UniqueId id, int rank) {
    for (int i = 1; i < 128; i++)
        if ((char)(id.bytes[i] - id.bytes[i - 1]) != 7) return fail(kInvalidArgument, "the id is damaged at byte " + std::to_string(i));
    if (rank < 0 || rank >= size) return fail(kInvalidArgument, "rank");
    World* w;
    {
        std::lock_guard<std::mutex> lock(worlds_gate);
        World*& found = worlds[std::string(id.bytes, 128)];
        if (!found) { found = new World; found->size = size; found->inputs.resize(size); found->sends.resize(size); }
        w = found;
    }
    w->meet();
    *comm = new Comm{0xcafe, w, rank, {}, {}};
    return kSuccess;
}
int ncclCommDestroy(Comm* comm) { comm->magic = 0; return kSuccess; }
int ncclCommGetAsyncError(Comm*, int* code) { *code = async_error; return kSuccess; }

int ncclAllGather(const void* in, void* out, size_t count, int type, Comm* comm, void* stream) {
    if (int e = check(comm, stream)) return e;
    if (!width(type)) return fail(kInvalidArgument, "type");
    note("allgather");
    World& w = *comm->world;
    w.inputs[comm->rank] = in;
    w.meet();
    for (int r = 0; r < w.size; r++) memmove((char*)out + r * count * width(type), w.inputs[r], count * width(type));
    w.meet();
    return kSuccess;
}
int ncclReduceScatter(const void* in, void* out, size_t count, int type, int op, Comm* comm, void* stream) {
    if (int e = check(comm, stream)) return e;
    note("reducescatter");
    return reduce(comm, in, out, comm->rank * count, count, type, op);
}
int ncclAllReduce(const void* in, void* out, size_t count, int type, int op, Comm* comm, void* stream) {
    if (int e = check(comm, stream)) return e;
    note("allreduce");
    return reduce(comm, in, out, 0, count, type, op);
}
int ncclBroadcast(const void* in, void* out, size_t count, int type, int root, Comm* comm, void* stream) {
    if (int e = check(comm, stream)) return e;
    if (root < 0 || root >= comm->world->size) return fail(kInvalidArgument, "root");
    note("broadcast");
    World& w = *comm->world;
    w.inputs[comm->rank] = in;
    w.meet();
    if (comm->rank != root) memcpy(out, w.inputs[root], count * width(type));
    w.meet();
    return kSuccess;
}
int ncclGroupStart() { group_depth++; return kSuccess; }
int ncclSend(const void* in, size_t count, int type, int peer, Comm* comm, void* stream) {
    if (int e = check(comm, stream)) return e;
    if (!group_depth) return fail(kInvalidUsage, "the stand-in wants sends in a group");
    group_comm = comm;
    comm->sends.push_back({(char*)in, count * width(type), peer, false});
    return kSuccess;
}
int ncclRecv(void* out, size_t count, int type, int peer, Comm* comm, void* stream) {
    if (int e = check(comm, stream)) return e;
    if (!group_depth) return fail(kInvalidUsage, "the stand-in wants receives in a group");
    group_comm = comm;
    comm->receives.push_back({(char*)out, count * width(type), peer, false});
    return kSuccess;
}
int ncclGroupEnd() {
    if (--group_depth < 0) return fail(kInvalidUsage, "no group");
    Comm* comm = group_comm;
    if (!comm) return kSuccess;
    note("group");
    World& w = *comm->world;
    int result = kSuccess;
    std::unique_lock<std::mutex> lock(w.gate);
    for (auto& s : comm->sends) w.sends[comm->rank].push_back(&s);
    w.moved.notify_all();
    // Between two ranks in the order of calls; nobody else need come.
    for (auto& r : comm->receives) {
        auto& from = w.sends[r.peer];
        Message* s = nullptr;
        w.moved.wait(lock, [&] {
            for (auto* m : from) if (m->peer == comm->rank) { s = m; return true; }
            return false;
        });
        if (s->bytes != r.bytes) result = fail(kInvalidArgument, "a message of " + std::to_string(s->bytes) + " bytes for a receive of " + std::to_string(r.bytes));
        memcpy(r.at, s->at, std::min(r.bytes, s->bytes));
        from.erase(std::find(from.begin(), from.end(), s));
        s->taken = true;
        w.moved.notify_all();
    }
    w.moved.wait(lock, [&] { for (auto& s : comm->sends) if (!s.taken) return false; return true; });
    comm->sends.clear();
    comm->receives.clear();
    group_comm = nullptr;
    return result;
}

int cuInit(unsigned) { return 0; }
int cuDeviceGet(int* device, int ordinal) { *device = ordinal; return 0; }
int cuDevicePrimaryCtxRetain(uintptr_t* context, int) { *context = kContext; return 0; }
int cuCtxSetCurrent(uintptr_t context) { current_context = context; return 0; }
int cuStreamCreate(uintptr_t* stream, unsigned flags) { *stream = kCommStream; return flags == 1 ? 0 : 1; }
int cuEventCreate(uintptr_t* event, unsigned flags) { static uintptr_t next = 0xE000; *event = ++next; return flags == 2 ? 0 : 1; }
int cuEventRecord(uintptr_t, uintptr_t stream) { note(stream == kCommStream ? "record comm" : stream == kTorchStream ? "record torch" : "record ?"); return 0; }
int cuEventQuery(uintptr_t) { return not_ready ? 600 : 0; }
int cuEventSynchronize(uintptr_t) { note("synchronize"); return 0; }
int cuEventDestroy_v2(uintptr_t) { return 0; }
int cuStreamWaitEvent(uintptr_t stream, uintptr_t, unsigned) { note(stream == kCommStream ? "comm waits" : stream == kTorchStream ? "torch waits" : "? waits"); return 0; }
int aoti_torch_get_current_cuda_stream(int32_t device, void** stream) { *stream = (void*)kTorchStream; return device == 0 ? 0 : 1; }

}  // extern "C"
