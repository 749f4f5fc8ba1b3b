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
#define __grid_constant__
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

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

// Tensor cores and what feeds them, as PTX ISA lays out mma.m16n8k16 and ldmatrix. `x` are two bfloat16, the first one low.
inline float bf16_of(unsigned x, int which) {
    unsigned bits = which ? x & 0xffff0000u : x << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
inline void mma(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    int lane = threadIdx.x % 32, row = lane / 4 * 4, column = lane % 4 * 8; // the first lanes with values of them
    for (int half = 0; half < 2; half++)
        for (int pair = 0; pair < 4; pair++) {
            unsigned upper = __shfl_sync(~0u, a[2 * half], row + pair), lower = __shfl_sync(~0u, a[2 * half + 1], row + pair);
            unsigned left = __shfl_sync(~0u, half ? b1 : b0, column + pair);
            unsigned right = __shfl_sync(~0u, half ? b1 : b0, column + 4 + pair);
            for (int i = 0; i < 2; i++) {
                d[0] += bf16_of(upper, i) * bf16_of(left, i);
                d[1] += bf16_of(upper, i) * bf16_of(right, i);
                d[2] += bf16_of(lower, i) * bf16_of(left, i);
                d[3] += bf16_of(lower, i) * bf16_of(right, i);
            }
        }
}
inline void squares(unsigned (&out)[4], const unsigned short *row) {
    int lane = threadIdx.x % 32;
    for (int i = 0; i < 4; i++) memcpy(&out[i], __shfl_sync(~0u, row, 8 * i + lane / 4) + 2 * (lane % 4), 4);
}
inline void squares_turned(unsigned (&out)[4], const unsigned short *row) {
    int lane = threadIdx.x % 32;
    for (int i = 0; i < 4; i++) {
        const unsigned short *first = __shfl_sync(~0u, row, 8 * i + 2 * (lane % 4));
        const unsigned short *second = __shfl_sync(~0u, row, 8 * i + 2 * (lane % 4) + 1);
        out[i] = first[lane / 4] | (unsigned)second[lane / 4] << 16;
    }
}

inline void copy_16(unsigned short *to, const unsigned short *from, bool there) {
    if (there) memcpy(to, from, 16);
    else memset(to, 0, 16);
}
inline void close_batch() {}
template <int N> void wait_batches() {}

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

// A copy of such arguments, for a launch that comes later.
template <typename... A, size_t... I> void **keep(void (*)(A...), void **given, std::index_sequence<I...>) {
    return new void *[sizeof...(A)]{new A(*(A *)given[I])...};
}
template <typename... A> void **keep(void (*kernel)(A...), void **given) {
    return keep(kernel, given, std::index_sequence_for<A...>());
}
