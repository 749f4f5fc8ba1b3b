// What surrounds the products of a linear layer: casts to bfloat16, dropout and the bias. The products are cuBLAS's.

// The finaliser of SplitMix64.
__device__ __forceinline__ u64 mix64(u64 x) {
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

__device__ __forceinline__ u32 mix32(u32 x) {
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    return x ^ (x >> 16);
}

// The value at a place, dropped or scaled: the same mask as on the CPU, a key for each 2¹⁴ values.
__device__ __forceinline__ float dropped(float x, u64 place, u64 seed, u32 below, float keep) {
    u64 key = mix64(seed ^ mix64(place >> 14));
    u32 bits = mix32(mix32((u32)(place & 16383) ^ (u32)key) + (u32)(key >> 32));
    return bits < below ? 0.0f : x * keep;
}

// Eight values a thread, where x lies so.
extern "C" __global__ void cast_bf16(const float *x, u16 *out, u64 n) {
    u64 done = (u64)x % 16 == 0 ? n / 8 * 8 : 0;
    for (u64 i = 8 * first(); i < done; i += 8 * stride()) {
        Four a = ((const Four *)(x + i))[0], b = ((const Four *)(x + i))[1];
        *(FourWords *)(out + i) = {two_bf16(a.x, a.y), two_bf16(a.z, a.w), two_bf16(b.x, b.y), two_bf16(b.z, b.w)};
    }
    for (u64 i = done + first(); i < n; i += stride()) out[i] = to_bf16(x[i]);
}

extern "C" __global__ void dropout_f32(const float *x, float *out, u64 n, u64 seed, u32 below, float keep) {
    for (u64 i = first(); i < n; i += stride()) out[i] = dropped(x[i], i, seed, below, keep);
}

extern "C" __global__ void dropout_bf16(const float *x, u16 *out, u64 n, u64 seed, u32 below, float keep) {
    for (u64 i = first(); i < n; i += stride()) out[i] = to_bf16(dropped(x[i], i, seed, below, keep));
}

// out += drop(g)
extern "C" __global__ void dropout_add(const float *g, float *out, u64 n, u64 seed, u32 below, float keep) {
    for (u64 i = first(); i < n; i += stride()) out[i] += dropped(g[i], i, seed, below, keep);
}

// y += b, row by row: y (n / out, out), b (out)
extern "C" __global__ void bias_add(float *y, const float *b, u64 n, u64 out) {
    for (u64 i = first(); i < n; i += stride()) y[i] += b[i % out];
}

// Sums over `step` rows of dy (rows, out): partial (⌈rows / step⌉, out). Blocks: (columns / THREADS, parts).
extern "C" __global__ void bias_sum(const float *dy, float *partial, int rows, int out, int step) {
    int j = blockIdx.x * THREADS + threadIdx.x;
    if (j >= out) return;
    int begin = blockIdx.y * step, end = min(begin + step, rows);
    float sum = 0.0f;
    for (int i = begin; i < end; i++) sum += dy[(u64)i * out + j];
    partial[(u64)blockIdx.y * out + j] = sum;
}

// The parts added in order: partial (parts, out) -> db (out).
extern "C" __global__ void bias_sum_parts(const float *partial, float *db, int parts, int out) {
    int j = blockIdx.x * THREADS + threadIdx.x;
    if (j >= out) return;
    float sum = 0.0f;
    for (int i = 0; i < parts; i++) sum += partial[(u64)i * out + j];
    db[j] = sum;
}
