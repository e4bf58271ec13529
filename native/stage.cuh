// Pieces of 16 bytes on their way from global to shared memory while the thread that wants them does something else. A thread reads only what it fetched itself, so no barrier is needed.
#pragma once
#include "access.cuh"

// The shared memory that a launch asks for.
#ifdef TITAN_EMULATION
#define DYNAMIC_SHARED(NAME) static __align__(16) u32 NAME[227 * 1024 / 4]
#else
#define DYNAMIC_SHARED(NAME) extern __shared__ __align__(16) u32 NAME[]
#endif

// Where a piece lies in shared memory; those of 32 neighbouring threads lie side by side.
struct Place
{
#ifdef TITAN_EMULATION
    u32* at;
    explicit Place(u32* first) : at(first) {}
    void operator+=(int pieces) { at += 4 * pieces; }
#else
    u32 at;
    DEVICE explicit Place(const u32* first) { asm("{ .reg .u64 wide; cvta.to.shared.u64 wide, %1; cvt.u32.u64 %0, wide; }" : "=r"(at) : "l"(first)); }
    DEVICE void operator+=(int pieces) { at += 16 * pieces; }
#endif
};

DEVICE Place operator+(Place place, int pieces)
{
    place += pieces;
    return place;
}

// Starts a piece on its way from an address that is a multiple of 16. What the thread read from its place before has been read.
template <typename T> DEVICE void stage_piece(Place to, const T* from)
{
#ifdef TITAN_EMULATION
    emulation::block.current->open.push_back({ to.at, from });
#else
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to.at), "l"(from) : "memory");
#endif
}

// Ends a group of pieces, which may be empty.
DEVICE void end_group()
{
#ifdef TITAN_EMULATION
    emulation::end_group();
#else
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Until all groups but the last `Pending` have arrived.
template <int Pending> DEVICE void await_groups()
{
#ifdef TITAN_EMULATION
    emulation::await_groups(Pending);
#else
    asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
#endif
}

// The piece that has arrived in a place.
template <int N, typename T> DEVICE Raw<T, N> arrived(Place from)
{
    static_assert(N * sizeof(T) == 16, "a piece");
    Raw<T, N> raw;
#ifdef TITAN_EMULATION
    for (int k = 0; k < 4; k++) raw.words[k] = from.at[k];
#else
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(raw.words[0]), "=r"(raw.words[1]), "=r"(raw.words[2]), "=r"(raw.words[3]) : "r"(from.at) : "memory");
#endif
    return raw;
}
