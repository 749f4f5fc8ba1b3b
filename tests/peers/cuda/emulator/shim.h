// CUDA C++ for a compiler of the CPU: what the kernels of this project use, and no more. A thread is a fiber of the
// emulator; whatever must wait for others asks it through `emulator`.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

struct Dim3 {
    unsigned x, y, z;
};

struct Emulator {
    Dim3 thread, block, threads, blocks;
    void (*wait_block)();                          // __syncthreads
    void (*wait_warp)();                           // __syncwarp
    int (*any)(int);                               // __syncthreads_or
    uint64_t (*from_lane)(uint64_t value, unsigned lane); // what another lane of the warp gives here
};
extern "C" {
Emulator *emulator;
void bind(Emulator *e) { emulator = e; }
}

#define threadIdx (emulator->thread)
#define blockIdx (emulator->block)
#define blockDim (emulator->threads)
#define gridDim (emulator->blocks)
#define __device__
#define __global__
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(n)

using std::max;
using std::min;

inline void __syncthreads() { emulator->wait_block(); }
inline void __syncwarp() { emulator->wait_warp(); }
inline int __syncthreads_or(int x) { return emulator->any(x); }

template <typename T> T __shfl_sync(unsigned, T x, int lane) {
    uint64_t bits = 0;
    memcpy(&bits, &x, sizeof x);
    bits = emulator->from_lane(bits, (unsigned)lane);
    memcpy(&x, &bits, sizeof x);
    return x;
}
template <typename T> T __shfl_xor_sync(unsigned mask, T x, int step) { return __shfl_sync(mask, x, (threadIdx.x % 32) ^ step); }

inline unsigned __float_as_uint(float x) {
    unsigned bits;
    memcpy(&bits, &x, 4);
    return bits;
}
inline float __uint_as_float(unsigned bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }

// Calls a kernel with its arguments, which come as an array of pointers.
template <typename... A, size_t... I> void call(void (*kernel)(A...), void **given, std::index_sequence<I...>) {
    kernel(*(A *)given[I]...);
}
template <typename... A> void call(void (*kernel)(A...), void **given) { call(kernel, given, std::index_sequence_for<A...>()); }
