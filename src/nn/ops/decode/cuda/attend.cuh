// Attention of one query a row over all keys that are held, split over the keys: a block takes a share of the keys of one
// head of keys and up to G of the heads that share it; several lanes read a key, 16 bytes each.

#define WIDEST 128

// Up to four values of a vector of `dim` from the one that `column` says on; zeros behind its end.
__device__ __forceinline__ Four four_of(const float *x, int column, int dim) {
    if (dim % 4 == 0) return column < dim ? *(const Four *)(x + column) : Four{};
    return {column < dim ? x[column] : 0.0f, column + 1 < dim ? x[column + 1] : 0.0f,
            column + 2 < dim ? x[column + 2] : 0.0f, column + 3 < dim ? x[column + 3] : 0.0f};
}

__device__ __forceinline__ float dot(const Four &a, const Four &b) { return a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w; }

// A softmax on its way: the highest score so far, the sum of the weights, and the weighted values.
struct Soft {
    float highest, sum;
    Four values;
};

__device__ __forceinline__ void join(Soft &a, float highest, float sum, const Four &values) {
    float both = fmaxf(a.highest, highest);
    float old = expf(a.highest - both), fresh = expf(highest - both);
    a.sum = a.sum * old + sum * fresh;
    a.values = mixed(a.values, old, values, fresh);
    a.highest = both;
}

// U keys and values that one group of lanes takes; where there is none, the weight is zero.
template <int G, int U>
__device__ __forceinline__ void take(const Four (&k)[U], const Four (&v)[U], const bool (&there)[U], const Four (&q)[G],
                                     int lanes, Soft (&soft)[G]) {
#pragma unroll
    for (int g = 0; g < G; g++) {
        float score[U];
        float highest = soft[g].highest;
#pragma unroll
        for (int u = 0; u < U; u++) {
            score[u] = dot(q[g], k[u]);
            for (int step = lanes / 2; step > 0; step /= 2) score[u] += __shfl_xor_sync(0xffffffffu, score[u], step);
            if (there[u]) highest = fmaxf(highest, score[u]);
        }
        float old = expf(soft[g].highest - highest);
        soft[g].sum *= old;
        soft[g].values = mixed(soft[g].values, old, Four{}, 0.0f);
        soft[g].highest = highest;
#pragma unroll
        for (int u = 0; u < U; u++) {
            float weight = there[u] ? expf(score[u] - highest) : 0.0f;
            soft[g].sum += weight;
            soft[g].values = mixed(soft[g].values, 1.0f, v[u], weight);
        }
    }
}

// Sizes of attention.
struct Heads {
    int heads, kv_heads, dim, splits;
    float scale;
};

// Blocks: (splits, rows · kv_heads · ⌈heads of a group / G⌉). q (rows, heads, dim); values (rows, heads, splits, dim) and
// sums (rows, heads, splits, 2), as `Input` takes them. `memory` holds where the keys and the values of this layer are,
// both (rows, capacity, kv_heads, dim).
template <int G>
__device__ __forceinline__ void attend(const float *q, const u64 *memory, const int *where, float *values, float *sums,
                                       const Heads &shape) {
    const int U = G > 4 ? 2 : 4;
    __shared__ float warp_values[WARPS][G][WIDEST], warp_sums[WARPS][G][2];
    int dim = shape.dim, group = shape.heads / shape.kv_heads, parts = (group + G - 1) / G;
    int part = blockIdx.y % parts, kv_head = blockIdx.y / parts % shape.kv_heads, row = blockIdx.y / parts / shape.kv_heads;
    let_next();
    after_previous();
    int held = where[0] + 1, capacity = where[1], size = share_size(held, shape.splits);
    int begin = blockIdx.x * size, end = min(begin + size, held);
    if (begin >= end) return;
    int fours = (dim + 3) / 4, lanes = fours <= 4 ? 4 : fours <= 8 ? 8 : fours <= 16 ? 16 : 32;
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, column = 4 * (lane % lanes);
    int step = WARPS * (32 / lanes), slot = threadIdx.x / lanes;
    u64 stride = (u64)shape.kv_heads * dim, first_key = (u64)row * capacity * stride + kv_head * dim;
    const float *keys = (const float *)memory[0] + first_key, *all_values = (const float *)memory[1] + first_key;
    int head = kv_head * group + part * G; // the first of G
    Four query[G];
    Soft soft[G];
#pragma unroll
    for (int g = 0; g < G; g++) {
        int mine = min(head + g, kv_head * group + group - 1);
        query[g] = mixed(four_of(q + ((u64)row * shape.heads + mine) * dim, column, dim), shape.scale, Four{}, 0.0f);
        soft[g] = {-1e30f, 0.0f, {}};
    }
    for (int key = begin + slot; key - slot < end; key += U * step) {
        Four k[U], v[U];
        bool there[U];
#pragma unroll
        for (int u = 0; u < U; u++) {
            there[u] = key + u * step < end;
            u64 at = (u64)(key + u * step) * stride;
            k[u] = there[u] ? four_of(keys + at, column, dim) : Four{};
            v[u] = there[u] ? four_of(all_values + at, column, dim) : Four{};
        }
        take<G, U>(k, v, there, query, lanes, soft);
    }
#pragma unroll
    for (int g = 0; g < G; g++) {
        for (int far = lanes; far < 32; far *= 2) {
            float highest = __shfl_xor_sync(0xffffffffu, soft[g].highest, far);
            float sum = __shfl_xor_sync(0xffffffffu, soft[g].sum, far);
            Four other = {__shfl_xor_sync(0xffffffffu, soft[g].values.x, far), __shfl_xor_sync(0xffffffffu, soft[g].values.y, far),
                          __shfl_xor_sync(0xffffffffu, soft[g].values.z, far), __shfl_xor_sync(0xffffffffu, soft[g].values.w, far)};
            join(soft[g], highest, sum, other);
        }
        if (lane < lanes) *(Four *)&warp_values[warp][g][column] = soft[g].values;
        if (lane == 0) warp_sums[warp][g][0] = soft[g].highest, warp_sums[warp][g][1] = soft[g].sum;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < min(G, group - part * G) * dim; i += THREADS) {
        int g = i / dim, d = i % dim;
        float highest = warp_sums[0][g][0], sum = 0.0f, value = 0.0f;
        for (int w = 1; w < WARPS; w++) highest = fmaxf(highest, warp_sums[w][g][0]);
        for (int w = 0; w < WARPS; w++) {
            float factor = expf(warp_sums[w][g][0] - highest);
            sum += warp_sums[w][g][1] * factor;
            value += warp_values[w][g][d] * factor;
        }
        u64 share = ((u64)row * shape.heads + head + g) * shape.splits + blockIdx.x;
        values[share * dim + d] = value;
        if (d == 0) sums[2 * share] = highest, sums[2 * share + 1] = sum;
    }
}
