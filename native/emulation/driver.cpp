// A stand-in for the CUDA driver library: writes down every call, and runs launches by the emulation. A module's image is not read; a function is its name.
#include "kernels.h"

static std::string calls;

template <typename... Parts> static void note(const char* format, Parts... parts)
{
    char line[512];
    std::snprintf(line, sizeof line, format, parts...);
    calls += line;
    calls += '\n';
}

static void* current_context;
static long events;
// Whether somebody has waited for the device since an event was queued.
static bool waited;

extern "C"
{
const char* driver_calls() { return calls.c_str(); }

void driver_forget()
{
    calls.clear();
    current_context = nullptr;
}

int cuInit(unsigned flags)
{
    note("cuInit %u", flags);
    return 0;
}

int cuDeviceGet(int* device, int ordinal)
{
    *device = ordinal + 100;
    note("cuDeviceGet %d", ordinal);
    return ordinal < 2 ? 0 : 101;
}

int cuDeviceGetAttribute(int* value, int attribute, int device)
{
    *value = attribute == 75 ? 9 : attribute == 76 ? 0 : attribute == 97 ? 232448 : 4;
    note("cuDeviceGetAttribute %d of %d", attribute, device);
    return 0;
}

int cuDeviceGetName(char* name, int bytes, int device)
{
    std::snprintf(name, (size_t)bytes, "Emulated GPU %d", device - 100);
    return 0;
}

int cuMemGetInfo_v2(size_t* free, size_t* total)
{
    if (current_context == nullptr) return 201;
    *free = (size_t)3 << 30;
    *total = (size_t)8 << 30;
    return 0;
}

int cuDevicePrimaryCtxRetain(void** context, int device)
{
    *context = reinterpret_cast<void*>((intptr_t)device * 16);
    note("cuDevicePrimaryCtxRetain %d", device);
    return 0;
}

int cuCtxGetCurrent(void** context)
{
    *context = current_context;
    return 0;
}

int cuCtxSetCurrent(void* context)
{
    current_context = context;
    note("cuCtxSetCurrent %ld", (long)reinterpret_cast<intptr_t>(context));
    return 0;
}

int cuModuleLoadData(void** module, const void* image)
{
    *module = const_cast<void*>(image);
    note("cuModuleLoadData %.40s", static_cast<const char*>(image));
    return 0;
}

int cuModuleGetFunction(void** function, void*, const char* name)
{
    note("cuModuleGetFunction %s", name);
    *function = new std::string(name);
    void* parameters[16] = {};
    return emulation::find(name, parameters) ? 0 : 500;
}

int cuFuncSetAttribute(void* function, int attribute, int value)
{
    note("cuFuncSetAttribute %d of %s: %d", attribute, static_cast<std::string*>(function)->c_str(), value);
    return 0;
}

int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void* stream, void** parameters, void**)
{
    const std::string& name = *static_cast<std::string*>(function);
    note("cuLaunchKernel %s grid %u %u %u block %u %u %u shared %u stream %ld", name.c_str(), gx, gy, gz, bx, by, bz, shared, (long)reinterpret_cast<intptr_t>(stream));
    return emulation::launch(name, { gx, gy, gz }, { bx, by, bz }, parameters, emulation::Order::forward, 0).empty() ? 0 : 1;
}

int cuEventCreate(void** event, unsigned flags)
{
    *event = reinterpret_cast<void*>((intptr_t)++events);
    note("cuEventCreate %u", flags);
    return 0;
}

int cuEventRecord(void* event, void* stream)
{
    waited = false;
    note("cuEventRecord on stream %ld", (long)reinterpret_cast<intptr_t>(stream));
    return event == nullptr ? 1 : 0;
}

int cuEventQuery(void*) { return waited ? 0 : 600; }

int cuEventSynchronize(void*)
{
    waited = true;
    return 0;
}

int cuEventElapsedTime(float* milliseconds, void* first, void* second)
{
    *milliseconds = 12.5f * (float)(reinterpret_cast<intptr_t>(second) - reinterpret_cast<intptr_t>(first));
    return waited ? 0 : 600;
}

int cuGetErrorName(int error, const char** name)
{
    *name = error == 500 ? "CUDA_ERROR_NOT_FOUND" : error == 101 ? "CUDA_ERROR_INVALID_DEVICE" : "CUDA_ERROR_INVALID_VALUE";
    return 0;
}
}
