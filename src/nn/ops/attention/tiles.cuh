// Attention in tiles; nothing of size (time, keys) is ever stored. q, out and their gradients are (batch, time, heads, dim),
// k and v (batch, keys, kv_heads, dim) with `k_batch` and `v_batch` values from one row of the batch to the next, sums and delta
// (batch, heads, time). D is dim rounded up to 32, 64 or 128; what is missing is 0.
//
// Eight warps a block. A warp has some rows (queries; in the gradient of keys and values, keys) in registers, and its
// lanes stand for the 32 columns of a tile (keys; queries there). All sums have an order of their own: no atomics.
//
// What depends on the distance of key j from query t has the place j − t + time − 1. With E there are vectors by distance:
// a block meets those of a tile in a band of 32 + its rows − 1 places, which shares its room with another tile.

#define TILE 32
#define NONE __uint_as_float(0xff800000u)

struct Sizes {
    int batch, time, keys, heads, kv_heads, dim, causal;
    float scale;
    u64 k_batch, v_batch;
    const int *visible;    // (batch, 2): the keys of a row that are not padding, from and to; or null
    const float *bias;     // (time + keys − 1, heads), or null
    const float *vectors;  // (time + keys − 1, own, dim), or null
    const int *starts;     // (batch, time): the first key of a query's sequence in a packed row; or null
    int own;               // heads with vectors of their own
};

// The keys of a row of the batch that are not padding, and where its sequences begin, or null.
struct Range {
    int from, to;
    const int *starts;
};

__device__ __forceinline__ Range visible(const Sizes &s, int b) {
    const int *starts = s.starts ? s.starts + (u64)b * s.time : nullptr;
    return s.visible ? Range{s.visible[2 * b], s.visible[2 * b + 1], starts} : Range{0, s.keys, starts};
}

// The first key that query t does not see any more.
__device__ __forceinline__ int seen(const Sizes &s, const Range &row, int t) {
    return s.causal ? min(t + 1 + s.keys - s.time, row.to) : row.to;
}

// The first key that query t sees; later queries see none before it.
__device__ __forceinline__ int first_seen(const Range &row, int t) { return row.starts ? max(row.from, row.starts[t]) : row.from; }

// Whether query t sees key j.
__device__ __forceinline__ bool sees(const Sizes &s, const Range &row, int t, int j) {
    return t < s.time && j >= first_seen(row, t) && j < seen(s, row, t);
}

// The score of a query and a key that it sees, from their product.
__device__ __forceinline__ float score_of(const Sizes &s, int h, int t, int j, float product) {
    return s.bias ? product * s.scale + s.bias[(u64)(j - t + s.time - 1) * s.heads + h] : product * s.scale;
}

// Where element d of a row lies in a swizzled tile: lanes that read one column of 32 rows, and lanes that read one row,
// both use 32 different banks.
template <int D> __device__ __forceinline__ int swizzled(int row, int d) { return row * D + ((d + row) & (D - 1)); }

// `count` rows of a tile from row `first` on, of which those from 0 to `rows` are there, `step` values apart in memory.
template <int D, bool SWIZZLED>
__device__ __forceinline__ void load(float *tile, const float *from, int step, int first, int rows, int count, int dim) {
    for (int i = threadIdx.x; i < count * D; i += THREADS) {
        int r = i / D, d = i % D, row = first + r;
        float value = row >= 0 && row < rows && d < dim ? from[(u64)row * step + d] : 0.0f;
        tile[SWIZZLED ? swizzled<D>(r, d) : i] = value;
    }
}

// `count` vectors of head h from place `first` on.
template <int D, bool SWIZZLED>
__device__ __forceinline__ void load_vectors(float *tile, const Sizes &s, int h, int first, int count) {
    load<D, SWIZZLED>(tile, s.vectors + h % s.own * s.dim, s.own * s.dim, first, s.time + s.keys - 1, count, s.dim);
}

// A block of queries (or keys, or distances) of one head.
struct Place {
    int b, h, begin;
};

__device__ __forceinline__ Place place(int total, int rows, int heads) {
    int blocks = (total + rows - 1) / rows, head = blockIdx.x / blocks;
    return {head / heads, head % heads, (int)(blockIdx.x % blocks) * rows};
}

// The dot products of R broadcast rows with a lane's row of a swizzled tile.
template <int D, int R> __device__ __forceinline__ void dots(const float *rows, const float *tile, float (&out)[R]) {
    int lane = threadIdx.x % 32;
    for (int i = 0; i < R; i++) out[i] = 0.0f;
#pragma unroll 8
    for (int d = 0; d < D; d++) {
        float x = tile[swizzled<D>(lane, d)];
#pragma unroll
        for (int i = 0; i < R; i++) out[i] += rows[i * D + d] * x;
    }
}

// Adds the dot products of R broadcast rows with the rows `at + lane`, `at + lane − 1`, … of a swizzled band.
template <int D, int R>
__device__ __forceinline__ void add_dots(const float *rows, const float *band, int at, float (&out)[R]) {
    int row = at + threadIdx.x % 32;
#pragma unroll 4
    for (int d = 0; d < D; d++) {
#pragma unroll
        for (int i = 0; i < R; i++) out[i] += rows[i * D + d] * band[swizzled<D>(row - i, d)];
    }
}

// out[i] += weights[i] (TILE of them) times the tile's rows; a lane has every 32nd column.
template <int D, int R, bool SWIZZLED>
__device__ __forceinline__ void add(const float *weights, const float *tile, float (&out)[R][D / 32]) {
    int lane = threadIdx.x % 32;
#pragma unroll 4
    for (int j = 0; j < TILE; j++) {
#pragma unroll
        for (int c = 0; c < D / 32; c++) {
            int d = 32 * c + lane;
            float x = tile[SWIZZLED ? swizzled<D>(j, d) : j * D + d];
#pragma unroll
            for (int i = 0; i < R; i++) out[i][c] += weights[i * TILE + j] * x;
        }
    }
}

// As add, of a swizzled band: its rows from `at` on for the first i, from `at − 1` on for the next, and so on.
template <int D, int R>
__device__ __forceinline__ void add_band(const float *weights, const float *band, int at, float (&out)[R][D / 32]) {
    int lane = threadIdx.x % 32;
#pragma unroll 2
    for (int j = 0; j < TILE; j++) {
#pragma unroll
        for (int c = 0; c < D / 32; c++) {
#pragma unroll
            for (int i = 0; i < R; i++) out[i][c] += weights[i * TILE + j] * band[swizzled<D>(at + j - i, 32 * c + lane)];
        }
    }
}

template <int D, int R, bool E>
__device__ __forceinline__ void forward(const float *q, const float *k, const float *v, float *out, float *sums, const Sizes &s) {
    const int ROWS = WARPS * R, BAND = TILE + ROWS - 1;
    // Values, or before them vectors.
    __shared__ float qs[ROWS * D], ks[TILE * D], vs[(E ? BAND : TILE) * D], ps[ROWS * TILE];
    Place at = place(s.time, ROWS, s.heads);
    Range row = visible(s, at.b);
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, mine = at.begin + warp * R;
    int q_step = s.heads * s.dim, k_step = s.kv_heads * s.dim, group = at.h / (s.heads / s.kv_heads);
    load<D, false>(qs, q + (u64)at.b * s.time * q_step + at.h * s.dim, q_step, at.begin, s.time, ROWS, s.dim);
    const float *kb = k + at.b * s.k_batch + group * s.dim, *vb = v + at.b * s.v_batch + group * s.dim;
    float o[R][D / 32] = {}, top[R], total[R];
    for (int i = 0; i < R; i++) {
        top[i] = NONE;
        total[i] = 0.0f;
    }
    int reach = seen(s, row, min(at.begin + ROWS, s.time) - 1);
    for (int first_key = first_seen(row, at.begin) / TILE * TILE; first_key < reach; first_key += TILE) {
        __syncthreads();
        load<D, true>(ks, kb, k_step, first_key, s.keys, TILE, s.dim);
        if (E) load_vectors<D, true>(vs, s, at.h, first_key - at.begin - ROWS + s.time, BAND);
        else load<D, false>(vs, vb, k_step, first_key, s.keys, TILE, s.dim);
        __syncthreads();
        float scores[R];
        dots<D, R>(qs + warp * R * D, ks, scores);
        if (E) {
            add_dots<D, R>(qs + warp * R * D, vs, ROWS - 1 - warp * R, scores);
            __syncthreads();
            load<D, false>(vs, vb, k_step, first_key, s.keys, TILE, s.dim);
        }
        for (int i = 0; i < R; i++) {
            bool there = sees(s, row, mine + i, first_key + lane);
            float score = there ? score_of(s, at.h, mine + i, first_key + lane, scores[i]) : NONE;
            float higher = fmaxf(top[i], warp_max(score));
            float old = top[i] == NONE ? 0.0f : expf(top[i] - higher);
            float p = there ? expf(score - higher) : 0.0f;
            top[i] = higher;
            total[i] = total[i] * old + p;
            for (int c = 0; c < D / 32; c++) o[i][c] *= old;
            ps[(warp * R + i) * TILE + lane] = p;
        }
        if (E) __syncthreads();
        else __syncwarp();
        add<D, R, false>(ps + warp * R * TILE, vs, o);
    }
    for (int i = 0; i < R; i++) {
        float sum = warp_sum(total[i]);
        int t = mine + i;
        if (t >= s.time) continue;
        for (int c = 0; c < D / 32; c++) {
            int d = 32 * c + lane;
            // Who sees no key gets 0.
            if (d < s.dim) out[((u64)at.b * s.time + t) * q_step + at.h * s.dim + d] = sum > 0.0f ? o[i][c] / sum : 0.0f;
        }
        if (lane == 0) sums[((u64)at.b * s.heads + at.h) * s.time + t] = top[i] + logf(sum);
    }
}

// What backward reads.
struct Given {
    const float *q, *k, *v, *dy, *sums, *delta;
};

template <int D, int R, bool E> __device__ __forceinline__ void query_gradient(const Given &x, float *dq, const Sizes &s) {
    const int ROWS = WARPS * R, BAND = TILE + ROWS - 1;
    // Values, and after them vectors.
    __shared__ float qs[ROWS * D], gs[ROWS * D], ks[TILE * D], vs[(E ? BAND : TILE) * D], ds[ROWS * TILE];
    Place at = place(s.time, ROWS, s.heads);
    Range range = visible(s, at.b);
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, mine = at.begin + warp * R;
    int q_step = s.heads * s.dim, k_step = s.kv_heads * s.dim, group = at.h / (s.heads / s.kv_heads);
    u64 from = (u64)at.b * s.time * q_step + at.h * s.dim, row = ((u64)at.b * s.heads + at.h) * s.time;
    load<D, false>(qs, x.q + from, q_step, at.begin, s.time, ROWS, s.dim);
    load<D, false>(gs, x.dy + from, q_step, at.begin, s.time, ROWS, s.dim);
    const float *kb = x.k + at.b * s.k_batch + group * s.dim, *vb = x.v + at.b * s.v_batch + group * s.dim;
    float sum[R], delta[R], out[R][D / 32] = {};
    for (int i = 0; i < R; i++) {
        bool there = mine + i < s.time;
        sum[i] = there ? x.sums[row + mine + i] : 0.0f;
        delta[i] = there ? x.delta[row + mine + i] : 0.0f;
    }
    int reach = seen(s, range, min(at.begin + ROWS, s.time) - 1);
    for (int first_key = first_seen(range, at.begin) / TILE * TILE; first_key < reach; first_key += TILE) {
        __syncthreads();
        load<D, true>(ks, kb, k_step, first_key, s.keys, TILE, s.dim);
        load<D, true>(vs, vb, k_step, first_key, s.keys, TILE, s.dim);
        __syncthreads();
        float scores[R], dp[R];
        dots<D, R>(qs + warp * R * D, ks, scores);
        dots<D, R>(gs + warp * R * D, vs, dp);
        int band = ROWS - 1 - warp * R;
        if (E) {
            __syncthreads();
            load_vectors<D, true>(vs, s, at.h, first_key - at.begin - ROWS + s.time, BAND);
            __syncthreads();
            add_dots<D, R>(qs + warp * R * D, vs, band, scores);
        }
        for (int i = 0; i < R; i++) {
            bool there = sees(s, range, mine + i, first_key + lane);
            float score = there ? score_of(s, at.h, mine + i, first_key + lane, scores[i]) : 0.0f;
            float slope = there ? expf(score - sum[i]) * (dp[i] - delta[i]) * s.scale : 0.0f;
            ds[(warp * R + i) * TILE + lane] = slope;
        }
        __syncwarp();
        add<D, R, true>(ds + warp * R * TILE, ks, out);
        if (E) add_band<D, R>(ds + warp * R * TILE, vs, band, out);
    }
    for (int i = 0; i < R && mine + i < s.time; i++)
        for (int c = 0; c < D / 32; c++)
            if (32 * c + lane < s.dim) dq[from + (u64)(mine + i) * q_step + 32 * c + lane] = out[i][c];
}

// dk and dv of a block of keys, over all queries of the heads that share them.
template <int D, int R, bool E>
__device__ __forceinline__ void key_gradient(const Given &x, float *dk, float *dv, const Sizes &s) {
    const int ROWS = WARPS * R, BAND = TILE + ROWS - 1;
    // The gradients of the queries' outputs, or before them vectors.
    __shared__ float ks[ROWS * D], vs[ROWS * D], qs[TILE * D], gs[(E ? BAND : TILE) * D];
    __shared__ float ps[ROWS * TILE], ds[ROWS * TILE];
    Place at = place(s.keys, ROWS, s.kv_heads); // h counts the heads of keys
    Range range = visible(s, at.b);
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, mine = at.begin + warp * R;
    int q_step = s.heads * s.dim, k_step = s.kv_heads * s.dim, heads = s.heads / s.kv_heads;
    load<D, false>(ks, x.k + at.b * s.k_batch + at.h * s.dim, k_step, at.begin, s.keys, ROWS, s.dim);
    load<D, false>(vs, x.v + at.b * s.v_batch + at.h * s.dim, k_step, at.begin, s.keys, ROWS, s.dim);
    float k_sum[R][D / 32] = {}, v_sum[R][D / 32] = {};
    int earliest = s.causal ? max(0, at.begin + s.time - s.keys) : 0; // no query before it sees any of these keys
    for (int h = at.h * heads; h < (at.h + 1) * heads; h++) {
        u64 row = ((u64)at.b * s.heads + h) * s.time, queries = (u64)at.b * s.time * q_step + h * s.dim;
        for (int begin = earliest / TILE * TILE; begin < s.time; begin += TILE) {
            __syncthreads();
            load<D, true>(qs, x.q + queries, q_step, begin, s.time, TILE, s.dim);
            if (E) load_vectors<D, true>(gs, s, h, at.begin - begin - TILE + s.time, BAND);
            else load<D, true>(gs, x.dy + queries, q_step, begin, s.time, TILE, s.dim);
            __syncthreads();
            int t = begin + lane;
            float scores[R], dp[R];
            float sum = t < s.time ? x.sums[row + t] : 0.0f, delta = t < s.time ? x.delta[row + t] : 0.0f;
            dots<D, R>(ks + warp * R * D, qs, scores);
            if (E) {
#pragma unroll 4
                for (int d = 0; d < D; d++) {
                    float q = qs[swizzled<D>(lane, d)];
#pragma unroll
                    for (int i = 0; i < R; i++) scores[i] += q * gs[swizzled<D>(warp * R + i + TILE - 1 - lane, d)];
                }
                __syncthreads();
                load<D, true>(gs, x.dy + queries, q_step, begin, s.time, TILE, s.dim);
                __syncthreads();
            }
            dots<D, R>(vs + warp * R * D, gs, dp);
            for (int i = 0; i < R; i++) {
                bool there = sees(s, range, t, mine + i);
                float p = there ? expf(score_of(s, h, t, mine + i, scores[i]) - sum) : 0.0f;
                ps[(warp * R + i) * TILE + lane] = p;
                ds[(warp * R + i) * TILE + lane] = there ? p * (dp[i] - delta) * s.scale : 0.0f;
            }
            __syncwarp();
            add<D, R, true>(ds + warp * R * TILE, qs, k_sum);
            add<D, R, true>(ps + warp * R * TILE, gs, v_sum);
        }
    }
    u64 to = ((u64)at.b * s.keys * s.kv_heads + at.h) * s.dim;
    for (int i = 0; i < R && mine + i < s.keys; i++) {
        for (int c = 0; c < D / 32; c++) {
            int d = 32 * c + lane;
            if (d >= s.dim) continue;
            dk[to + (u64)(mine + i) * k_step + d] = k_sum[i][c];
            dv[to + (u64)(mine + i) * k_step + d] = v_sum[i][c];
        }
    }
}
