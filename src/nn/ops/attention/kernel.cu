// Attention in tiles; nothing of size (time, keys) is ever stored. q, out and their gradients are (batch, time, heads, dim),
// k and v (batch, keys, kv_heads, dim) with `k_batch` and `v_batch` values from one row of the batch to the next, sums and delta
// (batch, heads, time). D is dim rounded up to 32, 64 or 128; what is missing is 0.
//
// Eight warps a block. A warp has some rows (queries; in the gradient of keys and values, keys) in registers, and its
// lanes stand for the 32 columns of a tile (keys; queries there). All sums have an order of their own: no atomics.

#define TILE 32
#define NONE __uint_as_float(0xff800000u)

struct Sizes {
    int batch, time, keys, heads, kv_heads, dim, causal;
    float scale;
    u64 k_batch, v_batch;
};

// How many keys query t sees.
__device__ __forceinline__ int seen(const Sizes &s, int t) { return s.causal ? min(t + 1 + s.keys - s.time, s.keys) : s.keys; }

// Where element d of a row lies in a turned tile: lanes that read one column of 32 rows, and lanes that read one row,
// both meet 32 different banks.
template <int D> __device__ __forceinline__ int turned(int row, int d) { return row * D + ((d + row) & (D - 1)); }

// `count` rows of a tile, of which `rows` are there, `step` values apart in memory.
template <int D, bool TURNED>
__device__ __forceinline__ void load(float *tile, const float *from, int step, int rows, int count, int dim) {
    for (int i = threadIdx.x; i < count * D; i += THREADS) {
        int r = i / D, d = i % D;
        float value = r < rows && d < dim ? from[(u64)r * step + d] : 0.0f;
        tile[TURNED ? turned<D>(r, d) : i] = value;
    }
}

// A block of queries (or keys) of one head.
struct Place {
    int b, h, begin;
};

__device__ __forceinline__ Place place(int total, int rows, int heads) {
    int blocks = (total + rows - 1) / rows, head = blockIdx.x / blocks;
    return {head / heads, head % heads, (int)(blockIdx.x % blocks) * rows};
}

// The dot products of R broadcast rows with a lane's row of a turned tile.
template <int D, int R> __device__ __forceinline__ void dots(const float *rows, const float *tile, float (&out)[R]) {
    int lane = threadIdx.x % 32;
    for (int i = 0; i < R; i++) out[i] = 0.0f;
#pragma unroll 8
    for (int d = 0; d < D; d++) {
        float x = tile[turned<D>(lane, d)];
#pragma unroll
        for (int i = 0; i < R; i++) out[i] += rows[i * D + d] * x;
    }
}

// out[i] += weights[i] (TILE of them) times the tile's rows; a lane has every 32nd column.
template <int D, int R, bool TURNED>
__device__ __forceinline__ void add(const float *weights, const float *tile, float (&out)[R][D / 32]) {
    int lane = threadIdx.x % 32;
#pragma unroll 4
    for (int j = 0; j < TILE; j++) {
#pragma unroll
        for (int c = 0; c < D / 32; c++) {
            int d = 32 * c + lane;
            float x = tile[TURNED ? turned<D>(j, d) : j * D + d];
#pragma unroll
            for (int i = 0; i < R; i++) out[i][c] += weights[i * TILE + j] * x;
        }
    }
}

template <int D, int R>
__device__ __forceinline__ void forward(const float *q, const float *k, const float *v, float *out, float *sums, const Sizes &s) {
    __shared__ float qs[WARPS * R * D], ks[TILE * D], vs[TILE * D], ps[WARPS * R * TILE];
    Place at = place(s.time, WARPS * R, s.heads);
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, mine = at.begin + warp * R;
    int q_step = s.heads * s.dim, k_step = s.kv_heads * s.dim, group = at.h / (s.heads / s.kv_heads);
    load<D, false>(qs, q + ((u64)at.b * s.time + at.begin) * q_step + at.h * s.dim, q_step, s.time - at.begin, WARPS * R, s.dim);
    const float *kb = k + at.b * s.k_batch + group * s.dim, *vb = v + at.b * s.v_batch + group * s.dim;
    float o[R][D / 32] = {}, top[R], total[R];
    for (int i = 0; i < R; i++) {
        top[i] = NONE;
        total[i] = 0.0f;
    }
    int reach = seen(s, min(at.begin + WARPS * R, s.time) - 1);
    for (int first_key = 0; first_key < reach; first_key += TILE) {
        __syncthreads();
        load<D, true>(ks, kb + (u64)first_key * k_step, k_step, s.keys - first_key, TILE, s.dim);
        load<D, false>(vs, vb + (u64)first_key * k_step, k_step, s.keys - first_key, TILE, s.dim);
        __syncthreads();
        float scores[R];
        dots<D, R>(qs + warp * R * D, ks, scores);
        for (int i = 0; i < R; i++) {
            bool sees = first_key + lane < seen(s, mine + i);
            float score = sees ? scores[i] * s.scale : NONE;
            float higher = fmaxf(top[i], warp_max(score));
            float old = top[i] == NONE ? 0.0f : expf(top[i] - higher);
            float p = sees ? expf(score - higher) : 0.0f;
            top[i] = higher;
            total[i] = total[i] * old + p;
            for (int c = 0; c < D / 32; c++) o[i][c] *= old;
            ps[(warp * R + i) * TILE + lane] = p;
        }
        __syncwarp();
        add<D, R, false>(ps + warp * R * TILE, vs, o);
    }
    for (int i = 0; i < R; i++) {
        float sum = warp_sum(total[i]);
        int t = mine + i;
        if (t >= s.time) continue;
        for (int c = 0; c < D / 32; c++) {
            int d = 32 * c + lane;
            if (d < s.dim) out[((u64)at.b * s.time + t) * q_step + at.h * s.dim + d] = o[i][c] / sum;
        }
        if (lane == 0) sums[((u64)at.b * s.heads + at.h) * s.time + t] = top[i] + logf(sum);
    }
}

// One query: a block a head, each warp every eighth tile of keys; what the warps found is put together at the end.
template <int D>
__device__ __forceinline__ void one_query(const float *q, const float *k, const float *v, float *out, float *sums, const Sizes &s) {
    __shared__ float qs[D], tops[WARPS], totals[WARPS], os[WARPS * D];
    int b = blockIdx.x / s.heads, h = blockIdx.x % s.heads, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int k_step = s.kv_heads * s.dim, group = h / (s.heads / s.kv_heads);
    const float *kb = k + b * s.k_batch + group * s.dim, *vb = v + b * s.v_batch + group * s.dim;
    for (int d = threadIdx.x; d < s.dim; d += THREADS) qs[d] = q[(u64)blockIdx.x * s.dim + d];
    __syncthreads();
    float o[D / 32] = {}, top = NONE, total = 0.0f;
    for (int begin = warp * TILE; begin < s.keys; begin += WARPS * TILE) {
        int key = begin + lane;
        float score = NONE;
        if (key < s.keys) {
            score = 0.0f;
            const float *row = kb + (u64)key * k_step;
            for (int d = 0; d < s.dim; d++) score += qs[d] * row[d];
            score *= s.scale;
        }
        float higher = fmaxf(top, warp_max(score));
        float old = top == NONE ? 0.0f : expf(top - higher);
        float p = key < s.keys ? expf(score - higher) : 0.0f;
        top = higher;
        total = total * old + p;
        for (int c = 0; c < D / 32; c++) o[c] *= old;
        int count = min(TILE, s.keys - begin);
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
        out[(u64)blockIdx.x * s.dim + d] = value / sum;
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

// What backward reads.
struct Given {
    const float *q, *k, *v, *dy, *sums, *delta;
};

template <int D, int R> __device__ __forceinline__ void query_gradient(const Given &x, float *dq, const Sizes &s) {
    __shared__ float qs[WARPS * R * D], gs[WARPS * R * D], ks[TILE * D], vs[TILE * D], ds[WARPS * R * TILE];
    Place at = place(s.time, WARPS * R, s.heads);
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, mine = at.begin + warp * R;
    int q_step = s.heads * s.dim, k_step = s.kv_heads * s.dim, group = at.h / (s.heads / s.kv_heads);
    u64 from = ((u64)at.b * s.time + at.begin) * q_step + at.h * s.dim, row = ((u64)at.b * s.heads + at.h) * s.time;
    load<D, false>(qs, x.q + from, q_step, s.time - at.begin, WARPS * R, s.dim);
    load<D, false>(gs, x.dy + from, q_step, s.time - at.begin, WARPS * R, s.dim);
    const float *kb = x.k + at.b * s.k_batch + group * s.dim, *vb = x.v + at.b * s.v_batch + group * s.dim;
    float sum[R], delta[R], out[R][D / 32] = {};
    for (int i = 0; i < R; i++) {
        bool there = mine + i < s.time;
        sum[i] = there ? x.sums[row + mine + i] : 0.0f;
        delta[i] = there ? x.delta[row + mine + i] : 0.0f;
    }
    int reach = seen(s, min(at.begin + WARPS * R, s.time) - 1);
    for (int first_key = 0; first_key < reach; first_key += TILE) {
        __syncthreads();
        load<D, true>(ks, kb + (u64)first_key * k_step, k_step, s.keys - first_key, TILE, s.dim);
        load<D, true>(vs, vb + (u64)first_key * k_step, k_step, s.keys - first_key, TILE, s.dim);
        __syncthreads();
        float scores[R], dp[R];
        dots<D, R>(qs + warp * R * D, ks, scores);
        dots<D, R>(gs + warp * R * D, vs, dp);
        for (int i = 0; i < R; i++) {
            bool sees = mine + i < s.time && first_key + lane < seen(s, mine + i);
            float slope = sees ? expf(scores[i] * s.scale - sum[i]) * (dp[i] - delta[i]) * s.scale : 0.0f;
            ds[(warp * R + i) * TILE + lane] = slope;
        }
        __syncwarp();
        add<D, R, true>(ds + warp * R * TILE, ks, out);
    }
    for (int i = 0; i < R && mine + i < s.time; i++)
        for (int c = 0; c < D / 32; c++)
            if (32 * c + lane < s.dim) dq[from + (u64)(warp * R + i) * q_step + 32 * c + lane] = out[i][c];
}

// dk and dv of a block of keys, over all queries of the heads that share them.
template <int D, int R> __device__ __forceinline__ void key_gradient(const Given &x, float *dk, float *dv, const Sizes &s) {
    __shared__ float ks[WARPS * R * D], vs[WARPS * R * D], qs[TILE * D], gs[TILE * D];
    __shared__ float ps[WARPS * R * TILE], ds[WARPS * R * TILE];
    Place at = place(s.keys, WARPS * R, s.kv_heads); // h counts the heads of keys
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, mine = at.begin + warp * R;
    int q_step = s.heads * s.dim, k_step = s.kv_heads * s.dim, heads = s.heads / s.kv_heads;
    u64 from = (u64)at.begin * k_step + at.h * s.dim;
    load<D, false>(ks, x.k + at.b * s.k_batch + from, k_step, s.keys - at.begin, WARPS * R, s.dim);
    load<D, false>(vs, x.v + at.b * s.v_batch + from, k_step, s.keys - at.begin, WARPS * R, s.dim);
    float k_sum[R][D / 32] = {}, v_sum[R][D / 32] = {};
    int earliest = s.causal ? max(0, at.begin + s.time - s.keys) : 0; // no query before it sees any of these keys
    for (int h = at.h * heads; h < (at.h + 1) * heads; h++) {
        u64 row = ((u64)at.b * s.heads + h) * s.time;
        for (int begin = earliest / TILE * TILE; begin < s.time; begin += TILE) {
            u64 queries = ((u64)at.b * s.time + begin) * q_step + h * s.dim;
            __syncthreads();
            load<D, true>(qs, x.q + queries, q_step, s.time - begin, TILE, s.dim);
            load<D, true>(gs, x.dy + queries, q_step, s.time - begin, TILE, s.dim);
            __syncthreads();
            int t = begin + lane;
            float scores[R], dp[R];
            float sum = t < s.time ? x.sums[row + t] : 0.0f, delta = t < s.time ? x.delta[row + t] : 0.0f;
            dots<D, R>(ks + warp * R * D, qs, scores);
            dots<D, R>(vs + warp * R * D, gs, dp);
            for (int i = 0; i < R; i++) {
                bool sees = t < s.time && mine + i < seen(s, t);
                float p = sees ? expf(scores[i] * s.scale - sum) : 0.0f;
                ps[(warp * R + i) * TILE + lane] = p;
                ds[(warp * R + i) * TILE + lane] = sees ? p * (dp[i] - delta) * s.scale : 0.0f;
            }
            __syncwarp();
            add<D, R, true>(ds + warp * R * TILE, qs, k_sum);
            add<D, R, true>(ps + warp * R * TILE, gs, v_sum);
        }
    }
    u64 to = (u64)at.b * s.keys * k_step + from;
    for (int i = 0; i < R && mine + i < s.keys; i++) {
        for (int c = 0; c < D / 32; c++) {
            int d = 32 * c + lane;
            if (d >= s.dim) continue;
            dk[to + (u64)(warp * R + i) * k_step + d] = k_sum[i][c];
            dv[to + (u64)(warp * R + i) * k_step + d] = v_sum[i][c];
        }
    }
}

// The rows a warp has are as many as shared memory (48 KiB) and registers allow.
#define ATTENTION(D, FORWARD, BACKWARD)                                                                                  \
    extern "C" __global__ void __launch_bounds__(THREADS) attention_forward_##D(                                         \
        const float *q, const float *k, const float *v, float *out, float *sums, Sizes s) {                              \
        forward<D, FORWARD>(q, k, v, out, sums, s);                                                                      \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) attention_one_query_##D(                                       \
        const float *q, const float *k, const float *v, float *out, float *sums, Sizes s) {                              \
        one_query<D>(q, k, v, out, sums, s);                                                                             \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) attention_query_gradient_##D(                                  \
        const float *q, const float *k, const float *v, const float *dy, const float *sums, const float *delta,          \
        float *dq, Sizes s) {                                                                                            \
        query_gradient<D, BACKWARD>({q, k, v, dy, sums, delta}, dq, s);                                                  \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) attention_key_gradient_##D(                                    \
        const float *q, const float *k, const float *v, const float *dy, const float *sums, const float *delta,          \
        float *dk, float *dv, Sizes s) {                                                                                 \
        key_gradient<D, BACKWARD>({q, k, v, dy, sums, delta}, dk, dv, s);                                                \
    }

ATTENTION(32, 8, 4)
ATTENTION(64, 8, 4)
ATTENTION(128, 2, 1)
