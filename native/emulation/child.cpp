// The emulation as a process that serves launches on its standard streams. Built with the address sanitizer, which cannot be loaded into a running program: every buffer
// is an allocation of its exact size, so that a kernel that reads or writes one byte too far ends the process with a report on standard error.
//
// Request: name, grid, block, order, seed, arguments (kind 0 value, 1 buffer; length; bytes). Answer: text of the failure (empty if none), then the bytes of each buffer.
#include <unistd.h>

#include "kernels.h"

static bool read_all(void* to, size_t count)
{
    for (auto* p = static_cast<char*>(to); count > 0;)
    {
        const ssize_t n = read(0, p, count);
        if (n <= 0) return false;
        p += n;
        count -= (size_t)n;
    }

    return true;
}

static void write_all(const void* from, size_t count)
{
    for (auto* p = static_cast<const char*>(from); count > 0;)
    {
        const ssize_t n = write(1, p, count);
        if (n <= 0) std::exit(2);
        p += n;
        count -= (size_t)n;
    }
}

template <typename T> static T take()
{
    T value {};
    if (!read_all(&value, sizeof value)) std::exit(2);
    return value;
}

int main()
{
    for (uint32_t length; read_all(&length, sizeof length);)
    {
        std::string name(length, ' ');
        if (!read_all(name.data(), length)) return 2;
        emulation::Index grid, size;
        for (unsigned* n : { &grid.x, &grid.y, &grid.z, &size.x, &size.y, &size.z }) *n = take<uint32_t>();
        const auto order = static_cast<emulation::Order>(take<int32_t>());
        const auto seed = take<uint64_t>();
        const auto count = take<uint32_t>();
        std::vector<std::unique_ptr<char[]>> memory(count);
        std::vector<void*> buffers(count), parameters(count);
        std::vector<size_t> lengths(count);
        for (uint32_t i = 0; i < count; i++)
        {
            const bool buffer = take<uint32_t>() == 1;
            const auto bytes = (size_t)take<uint64_t>();
            memory[i].reset(new char[bytes]);
            if (!read_all(memory[i].get(), bytes)) return 2;
            buffers[i] = memory[i].get();
            parameters[i] = buffer ? static_cast<void*>(&buffers[i]) : buffers[i];
            lengths[i] = buffer ? bytes : 0;
        }

        const std::string failure = emulation::launch(name, grid, size, parameters.data(), order, seed);
        const auto text = (uint32_t)failure.size();
        write_all(&text, sizeof text);
        write_all(failure.data(), text);
        for (uint32_t i = 0; i < count; i++) write_all(buffers[i], lengths[i]);
    }

    return 0;
}
