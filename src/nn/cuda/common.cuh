// Included in front of every kernel: sums over a block, bfloat16 by hand (NVRTC alone has no cuda_bf16.h), the values
// of NF4. Kernels use static shared memory only, and 256 threads a block unless they say otherwise.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define THREADS 256
#define WARPS (THREADS / 32)

// The highest of a warp's values, in every lane.
__device__ __forceinline__ float warp_max(float x) {
    for (int step = 16; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
    return x;
}

// The sum of a warp's values, in every lane; the same order whatever runs beside it.
__device__ __forceinline__ float warp_sum(float x) {
    for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
    return x;
}

__device__ __forceinline__ double warp_sum(double x) {
    for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
    return x;
}

// The sum of a block's values, in every thread. `partial_sums` is shared and has WARPS values; all threads must come here.
template <typename T> __device__ __forceinline__ T block_sum(T x, T *partial_sums) {
    x = warp_sum(x);
    __syncthreads(); // all reads of the last sum are done
    if (threadIdx.x % 32 == 0) partial_sums[threadIdx.x / 32] = x;
    __syncthreads();
    T sum = partial_sums[0];
    for (int i = 1; i < WARPS; i++) sum += partial_sums[i];
    return sum;
}

// As block_sum, the highest.
__device__ __forceinline__ float block_max(float x, float *partial_sums) {
    x = warp_max(x);
    __syncthreads();
    if (threadIdx.x % 32 == 0) partial_sums[threadIdx.x / 32] = x;
    __syncthreads();
    float highest = partial_sums[0];
    for (int i = 1; i < WARPS; i++) highest = fmaxf(highest, partial_sums[i]);
    return highest;
}

// To bfloat16, to the nearest, ties to even; NaN stays NaN.
__device__ __forceinline__ u16 to_bf16(float x) {
    u32 bits = __float_as_uint(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (u16)((bits >> 16) | 0x40u);
    return (u16)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// Two of them, the first one low.
__device__ __forceinline__ u32 two_bf16(float a, float b) {
#ifdef EMULATED
    return to_bf16(a) | (u32)to_bf16(b) << 16;
#else
    u32 both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(b), "f"(a));
    return both;
#endif
}

// What is moved at once.
struct __align__(16) Four {
    float x, y, z, w;
};
struct __align__(16) FourWords {
    u32 x, y, z, w;
};
struct __align__(8) TwoWords {
    u32 x, y;
};

__device__ __forceinline__ float store(float x, float) { return x; }
__device__ __forceinline__ u16 store(float x, u16) { return to_bf16(x); }

// The element a thread begins with, and how far apart its elements are.
__device__ __forceinline__ u64 first() { return (u64)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ __forceinline__ u64 stride() { return (u64)gridDim.x * blockDim.x; }
