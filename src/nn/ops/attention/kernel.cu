// Attention without vectors by distance: see tiles.cuh, which is included in front.

// One query: a block a head, each warp every eighth tile of keys; the results of the warps are combined at the end.
template <int D>
__device__ __forceinline__ void single_query(const float *q, const float *k, const float *v, float *out, float *sums, const Sizes &s) {
    __shared__ float qs[D], tops[WARPS], totals[WARPS], os[WARPS * D];
    int b = blockIdx.x / s.heads, h = blockIdx.x % s.heads;
    Range row = visible(s, b);
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int k_step = s.kv_heads * s.dim, group = h / (s.heads / s.kv_heads);
    const float *kb = k + b * s.k_batch + group * s.dim, *vb = v + b * s.v_batch + group * s.dim;
    for (int d = threadIdx.x; d < s.dim; d += THREADS) qs[d] = q[(u64)blockIdx.x * s.dim + d];
    __syncthreads();
    float o[D / 32] = {}, top = NONE, total = 0.0f;
    for (int begin = row.from + warp * TILE; begin < row.to; begin += WARPS * TILE) {
        int key = begin + lane;
        float score = NONE;
        if (key < row.to) {
            float product = 0.0f;
            const float *of_key = kb + (u64)key * k_step;
            for (int d = 0; d < s.dim; d++) product += qs[d] * of_key[d];
            if (s.vectors) {
                const float *vector = s.vectors + ((u64)key * s.own + h % s.own) * s.dim;
                for (int d = 0; d < s.dim; d++) product += qs[d] * vector[d];
            }
            score = score_of(s, h, 0, key, product);
        }
        float higher = fmaxf(top, warp_max(score));
        float old = top == NONE ? 0.0f : expf(top - higher);
        float p = key < row.to ? expf(score - higher) : 0.0f;
        top = higher;
        total = total * old + p;
        for (int c = 0; c < D / 32; c++) o[c] *= old;
        int count = min(TILE, row.to - begin);
        for (int j = 0; j < count; j++) {
            float weight = __shfl_sync(0xffffffffu, p, j);
            for (int c = 0; c < D / 32; c++) {
                int d = 32 * c + lane;
                if (d < s.dim) o[c] += weight * vb[(u64)(begin + j) * k_step + d];
            }
        }
    }
    total = warp_sum(total);
    for (int c = 0; c < D / 32; c++) os[warp * D + 32 * c + lane] = o[c];
    if (lane == 0) {
        tops[warp] = top;
        totals[warp] = total;
    }
    __syncthreads();
    float highest = NONE, sum = 0.0f;
    for (int w = 0; w < WARPS; w++) highest = fmaxf(highest, tops[w]);
    for (int w = 0; w < WARPS; w++) sum += tops[w] == NONE ? 0.0f : totals[w] * expf(tops[w] - highest);
    for (int d = threadIdx.x; d < s.dim; d += THREADS) {
        float value = 0.0f;
        for (int w = 0; w < WARPS; w++) value += tops[w] == NONE ? 0.0f : os[w * D + d] * expf(tops[w] - highest);
        out[(u64)blockIdx.x * s.dim + d] = sum > 0.0f ? value / sum : 0.0f;
    }
    if (threadIdx.x == 0) sums[blockIdx.x] = highest + logf(sum);
}

// Σ dy · out of each query: delta. A warp a query, rows = batch · time · heads.
extern "C" __global__ void attention_delta(const float *out, const float *dy, float *delta, u64 rows, Sizes s) {
    int lane = threadIdx.x % 32;
    u64 row = first() / 32;
    if (row >= rows) return;
    float sum = 0.0f;
    for (int d = lane; d < s.dim; d += 32) sum += out[row * s.dim + d] * dy[row * s.dim + d];
    sum = warp_sum(sum);
    u64 h = row % s.heads, bt = row / s.heads;
    if (lane == 0) delta[(bt / s.time * s.heads + h) * s.time + bt % s.time] = sum;
}

// The rows a warp has are as many as shared memory (48 KiB) and registers allow.
#define ATTENTION(D, FORWARD, BACKWARD)                                                                                  \
    extern "C" __global__ void __launch_bounds__(THREADS) attention_forward_##D(                                         \
        const float *q, const float *k, const float *v, float *out, float *sums, Sizes s) {                              \
        forward<D, FORWARD, false>(q, k, v, out, sums, s);                                                               \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) attention_single_query_##D(                                       \
        const float *q, const float *k, const float *v, float *out, float *sums, Sizes s) {                              \
        single_query<D>(q, k, v, out, sums, s);                                                                             \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) attention_query_gradient_##D(                                  \
        const float *q, const float *k, const float *v, const float *dy, const float *sums, const float *delta,          \
        float *dq, Sizes s) {                                                                                            \
        query_gradient<D, BACKWARD, false>({q, k, v, dy, sums, delta}, dq, s);                                           \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) attention_key_gradient_##D(                                    \
        const float *q, const float *k, const float *v, const float *dy, const float *sums, const float *delta,          \
        float *dk, float *dv, Sizes s) {                                                                                 \
        key_gradient<D, BACKWARD, false>({q, k, v, dy, sums, delta}, dk, dv, s);                                         \
    }

ATTENTION(32, 8, 4)
ATTENTION(64, 8, 4)
ATTENTION(128, 2, 1)
