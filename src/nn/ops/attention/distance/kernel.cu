// Attention with vectors by distance, and the gradients of what depends on the distance: see tiles.cuh, which is included in
// front.

// Gradients by distance, for the biases and, if E, for the vectors. A block has some places of one head and goes over all
// rows of the batch and all queries, a lane a query: place m and query t belong to key m + t − time + 1. The gradient of the
// vectors is that of the head alone, (time + keys − 1, heads, dim).
template <int D, int R, bool E>
__device__ __forceinline__ void distance_gradient(const Given &x, float *dbias, float *dvectors, const Sizes &s) {
    const int ROWS = WARPS * R, BAND = TILE + ROWS - 1;
    // Queries, then the gradients of their outputs; keys, then values.
    __shared__ float queries[TILE * D], keys[BAND * D], vectors[E ? ROWS * D : 1], ds[E ? ROWS * TILE : 1];
    int places = s.time + s.keys - 1;
    Place at = place(places, ROWS, s.heads);
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, mine = at.begin + warp * R;
    int q_step = s.heads * s.dim, k_step = s.kv_heads * s.dim, group = at.h / (s.heads / s.kv_heads);
    if (E) load_vectors<D, false>(vectors, s, at.h, at.begin, ROWS);
    float bias_sum[R] = {}, out[R][D / 32] = {};
    // The queries that have a key at one of these places.
    int earliest = max(0, s.time - at.begin - ROWS), last = min(s.time, s.time - 1 - at.begin + s.keys);
    if (s.causal && at.begin >= s.keys) last = 0;
    for (int b = 0; b < s.batch; b++) {
        Range range = visible(s, b);
        u64 row = ((u64)b * s.heads + at.h) * s.time, from = (u64)b * s.time * q_step + at.h * s.dim;
        for (int begin = earliest / TILE * TILE; begin < last; begin += TILE) {
            int key = at.begin + begin - s.time + 1, t = begin + lane; // the first row of the band
            __syncthreads();
            load<D, true>(queries, x.q + from, q_step, begin, s.time, TILE, s.dim);
            load<D, true>(keys, x.k + b * s.k_batch + group * s.dim, k_step, key, s.keys, BAND, s.dim);
            __syncthreads();
            float scores[R] = {}, dp[R] = {};
#pragma unroll 4
            for (int d = 0; d < D; d++) {
                float q = queries[swizzled<D>(lane, d)];
#pragma unroll
                for (int i = 0; i < R; i++) {
                    float k = keys[swizzled<D>(warp * R + i + lane, d)];
                    scores[i] += q * (E ? k + vectors[(warp * R + i) * D + d] : k);
                }
            }
            __syncthreads();
            load<D, true>(queries, x.dy + from, q_step, begin, s.time, TILE, s.dim);
            load<D, true>(keys, x.v + b * s.v_batch + group * s.dim, k_step, key, s.keys, BAND, s.dim);
            __syncthreads();
#pragma unroll 4
            for (int d = 0; d < D; d++) {
                float g = queries[swizzled<D>(lane, d)];
#pragma unroll
                for (int i = 0; i < R; i++) dp[i] += g * keys[swizzled<D>(warp * R + i + lane, d)];
            }
            float sum = t < s.time ? x.sums[row + t] : 0.0f, delta = t < s.time ? x.delta[row + t] : 0.0f;
            for (int i = 0; i < R; i++) {
                int j = key + warp * R + i + lane;
                bool there = sees(s, range, t, j);
                float slope = there ? expf(score_of(s, at.h, t, j, scores[i]) - sum) * (dp[i] - delta) : 0.0f;
                bias_sum[i] += slope;
                if (E) ds[(warp * R + i) * TILE + lane] = slope * s.scale;
            }
            if (E) {
                __syncthreads();
                load<D, true>(queries, x.q + from, q_step, begin, s.time, TILE, s.dim);
                __syncthreads();
                add<D, R, true>(ds + warp * R * TILE, queries, out);
            }
        }
    }
    for (int i = 0; i < R; i++) {
        float sum = warp_sum(bias_sum[i]);
        if (mine + i >= places) continue;
        if (dbias && lane == 0) dbias[(u64)(mine + i) * s.heads + at.h] = sum;
        for (int c = 0; E && c < D / 32; c++) {
            int d = 32 * c + lane;
            if (d < s.dim) dvectors[((u64)(mine + i) * s.heads + at.h) * s.dim + d] = out[i][c];
        }
    }
}

// What heads say about the vectors they share: each (places, heads, dim) -> out (places, dim), in the order of the heads.
extern "C" __global__ void attention_share(const float *each, float *out, u64 n, int heads, int dim) {
    for (u64 i = first(); i < n; i += stride()) {
        float sum = 0.0f;
        for (int h = 0; h < heads; h++) sum += each[(i / dim * heads + h) * dim + i % dim];
        out[i] = sum;
    }
}

#define ATTENTION(D, ROWS)                                                                                               \
    extern "C" __global__ void __launch_bounds__(THREADS) distant_forward_##D(                                           \
        const float *q, const float *k, const float *v, float *out, float *sums, Sizes s) {                              \
        forward<D, ROWS, true>(q, k, v, out, sums, s);                                                                   \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) distant_query_gradient_##D(                                    \
        const float *q, const float *k, const float *v, const float *dy, const float *sums, const float *delta,          \
        float *dq, Sizes s) {                                                                                            \
        query_gradient<D, ROWS, true>({q, k, v, dy, sums, delta}, dq, s);                                                \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) distant_key_gradient_##D(                                      \
        const float *q, const float *k, const float *v, const float *dy, const float *sums, const float *delta,          \
        float *dk, float *dv, Sizes s) {                                                                                 \
        key_gradient<D, ROWS, true>({q, k, v, dy, sums, delta}, dk, dv, s);                                              \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) bias_gradient_##D(                                             \
        const float *q, const float *k, const float *v, const float *dy, const float *sums, const float *delta,          \
        float *dbias, Sizes s) {                                                                                         \
        distance_gradient<D, ROWS, false>({q, k, v, dy, sums, delta}, dbias, nullptr, s);                                \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) vector_gradient_##D(                                           \
        const float *q, const float *k, const float *v, const float *dy, const float *sums, const float *delta,          \
        float *dbias, float *dvectors, Sizes s) {                                                                        \
        distance_gradient<D, ROWS, true>({q, k, v, dy, sums, delta}, dbias, dvectors, s);                                \
    }

ATTENTION(32, 4)
ATTENTION(64, 4)
ATTENTION(128, 1)
