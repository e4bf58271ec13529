// Runs CUDA sources on the CPU, for tests of their logic. Every CUDA thread is a fiber; a barrier or shuffle hands over to the scheduler, which runs the threads of a block in
// forward, reverse or random order, so that a missing barrier gives wrong results in at least one of them. Blocks run one after the other.
// Not shown: inline PTX, races between blocks, the memory model, speed.
#pragma once
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
// One block runs at a time, so one copy is enough.
#define __shared__ static

namespace emulation
{
struct Index { unsigned x = 1, y = 1, z = 1; };

enum class Order { forward, reverse, random };

enum class State { ready, at_block_barrier, at_warp_barrier, finished };

// A piece that has been asked for, and comes when it is waited for: what is read earlier is old.
struct Piece
{
    void* to;
    const void* from;
};

struct Thread
{
    std::vector<Piece> open;
    std::vector<std::vector<Piece>> groups;
    ucontext_t context {};
    std::unique_ptr<char[]> stack;
    Index index;
    int number = 0;
    State state = State::ready;
    uint32_t exchanged = 0;
};

constexpr size_t stack_bytes = 256 * 1024;

struct Block
{
    std::vector<Thread> threads;
    ucontext_t scheduler {};
    Thread* current = nullptr;
    std::function<void()> body;
    std::string failure;
};

inline Block block;
inline Index block_index, block_size, grid_size;

inline void wait(State state)
{
    Thread* thread = block.current;
    thread->state = state;
    swapcontext(&thread->context, &block.scheduler);
}

inline void end_group() { block.current->groups.push_back(std::move(block.current->open)), block.current->open.clear(); }

inline void await_groups(size_t pending)
{
    auto& groups = block.current->groups;
    while (groups.size() > pending)
    {
        for (const Piece& piece : groups.front()) std::memcpy(piece.to, piece.from, 16);
        groups.erase(groups.begin());
    }
}

inline void start_thread()
{
    block.body();
    block.current->state = State::finished;
    swapcontext(&block.current->context, &block.scheduler);
}

// Lets waiting threads go on: a warp when all its 32 lanes wait for each other, the block when all its threads do. A barrier that some threads never reach is an error.
inline bool release()
{
    auto& threads = block.threads;
    bool released = false;
    for (size_t warp = 0; warp < threads.size(); warp += 32)
    {
        const auto first = threads.begin() + (long)warp, last = threads.begin() + (long)std::min(warp + 32, threads.size());
        if (!std::all_of(first, last, [](const Thread& t) { return t.state == State::at_warp_barrier; })) continue;
        std::for_each(first, last, [](Thread& t) { t.state = State::ready; });
        released = true;
    }

    if (std::all_of(threads.begin(), threads.end(), [](const Thread& t) { return t.state == State::at_block_barrier; }))
    {
        for (auto& t : threads) t.state = State::ready;
        released = true;
    }

    return released;
}

inline void run_block(Order order, std::mt19937_64& random)
{
    auto& threads = block.threads;
    const size_t count = (size_t)block_size.x * block_size.y * block_size.z;
    if (threads.size() != count)
    {
        threads.clear();
        threads.resize(count);
    }

    for (size_t i = 0; i < count; i++)
    {
        Thread& t = threads[i];
        t.number = (int)i;
        t.index = { (unsigned)(i % block_size.x), (unsigned)(i / block_size.x % block_size.y), (unsigned)(i / block_size.x / block_size.y) };
        t.state = State::ready;
        t.open.clear();
        t.groups.clear();
        if (!t.stack) t.stack.reset(new char[stack_bytes]);
        getcontext(&t.context);
        t.context.uc_stack.ss_sp = t.stack.get();
        t.context.uc_stack.ss_size = stack_bytes;
        t.context.uc_link = nullptr;
        makecontext(&t.context, start_thread, 0);
    }

    std::vector<size_t> turn(count);
    for (size_t i = 0; i < count; i++) turn[i] = order == Order::reverse ? count - 1 - i : i;
    std::vector<bool> rests((count + 31) / 32, false);
    for (bool ran = false;;)
    {
        if (order == Order::random)
        {
            std::shuffle(turn.begin(), turn.end(), random);
            // Half of the warps rest, for long enough that the others run ahead of them as far as barriers let them.
            if (!ran || random() % 32 == 0)
                for (size_t warp = 0; warp < rests.size(); warp++) rests[warp] = random() % 2 == 0;
        }

        ran = false;
        for (const size_t i : turn)
        {
            if (threads[i].state != State::ready || rests[i / 32]) continue;
            ran = true;
            block.current = &threads[i];
            swapcontext(&block.scheduler, &threads[i].context);
        }

        if (std::all_of(threads.begin(), threads.end(), [](const Thread& t) { return t.state == State::finished; })) return;
        if (release() || std::any_of(threads.begin(), threads.end(), [](const Thread& t) { return t.state == State::ready; })) continue;
        block.failure = "a barrier or shuffle was reached by a part of its threads only";
        return;
    }
}

inline void run_grid(Index grid, Index size, Order order, uint64_t seed, std::function<void()> body)
{
    std::mt19937_64 random(seed);
    grid_size = grid;
    block_size = size;
    block.body = std::move(body);
    block.failure.clear();
    const uint64_t blocks = (uint64_t)grid.x * grid.y * grid.z;
    for (uint64_t n = 0; n < blocks && block.failure.empty(); n++)
    {
        const uint64_t b = order == Order::reverse ? blocks - 1 - n : n;
        block_index = { (unsigned)(b % grid.x), (unsigned)(b / grid.x % grid.y), (unsigned)(b / grid.x / grid.y) };
        run_block(order, random);
    }
}
}

#define threadIdx (emulation::block.current->index)
#define blockIdx (emulation::block_index)
#define blockDim (emulation::block_size)
#define gridDim (emulation::grid_size)

inline void __syncthreads() { emulation::wait(emulation::State::at_block_barrier); }

// Two barriers: all lanes have written before one reads, all have read before one writes again.
template <typename T> T __shfl_xor_sync(unsigned, T value, int mask)
{
    static_assert(sizeof(T) == 4);
    emulation::Thread* self = emulation::block.current;
    std::memcpy(&self->exchanged, &value, 4);
    emulation::wait(emulation::State::at_warp_barrier);
    std::memcpy(&value, &emulation::block.threads[(size_t)(self->number ^ mask)].exchanged, 4);
    emulation::wait(emulation::State::at_warp_barrier);
    return value;
}

// Byte i of the result is byte (selector >> 4i) & 7 of the eight bytes of x and y.
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector)
{
    const uint64_t both = (uint64_t)y << 32 | x;
    unsigned result = 0;
    for (int i = 0; i < 4; i++) result |= (unsigned)(both >> ((selector >> (4 * i) & 7) * 8) & 0xff) << (8 * i);
    return result;
}

inline float __uint_as_float(unsigned bits)
{
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}

inline unsigned __float_as_uint(float x)
{
    unsigned bits;
    std::memcpy(&bits, &x, 4);
    return bits;
}

// The build forbids contraction, so that these round as they say.
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }

// One thread runs at a time.
inline unsigned atomicMax(unsigned* at, unsigned value)
{
    const unsigned before = *at;
    if (value > before) *at = value;
    return before;
}
