// The emulation as a shared library.
#include "kernels.h"

// grid and size hold 3 numbers each; parameters as for cuLaunchKernel. 0, or 1 with a text in `error`.
extern "C" int emulation_launch(
    const char* name, const unsigned* grid, const unsigned* size, void** parameters, int order, uint64_t seed, char* error, size_t error_bytes)
{
    const std::string failure = emulation::launch(
        name, { grid[0], grid[1], grid[2] }, { size[0], size[1], size[2] }, parameters, static_cast<emulation::Order>(order), seed);
    std::snprintf(error, error_bytes, "%s", failure.c_str());
    return failure.empty() ? 0 : 1;
}
