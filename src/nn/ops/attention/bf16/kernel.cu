// Attention whose products have bfloat16 factors and f32 sums, made by the tensor cores 16 × 8 × 16 at a time (PTX ISA,
// mma.m16n8k16); see tiles.cuh, which stands in front, for the layout. Softmax, its gradient and all sums are f32.
//
// Four warps a block, 16 rows each: queries, or in the gradient of keys and values, keys. A lane has two rows, `lane / 4`
// and 8 after it, and of 8 columns two, `2 · (lane % 4)` and the next: so the tensor cores lay out sums, and two such squares
// side by side are a factor again. Tiles are rounded on their way to shared memory; the 8 values behind each row let 8
// rows meet all banks.

#define HALF_THREADS 128
#define HALF_ROWS 64
#define LOG2E 1.4426950408889634f

typedef float Sum[4];
typedef u32 Left[4];

#ifndef EMULATED
// d (16, 8) += a (16, 16) · b (16, 8)
__device__ __forceinline__ void mma(Sum &d, const Left &a, u32 b0, u32 b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Four squares of 8 × 8; each lane names a row of 8 values: lanes 0 to 7 those of the first square, and so on. A lane gets
// two neighbours of row `lane / 4`, or turned, of column `lane / 4`.
__device__ __forceinline__ void squares(u32 (&out)[4], const u16 *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"((u32)__cvta_generic_to_shared(row)));
}
__device__ __forceinline__ void squares_turned(u32 (&out)[4], const u16 *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"((u32)__cvta_generic_to_shared(row)));
}
#endif

// `count` rows of a tile from row `first` on, of which the first `rows` are there, `step` values apart in memory.
template <int D>
__device__ __forceinline__ void load_rounded(u16 *tile, const float *from, int step, int first, int rows, int count, int dim) {
    if (dim == D && step % 4 == 0 && (u64)from % 16 == 0) {
#pragma unroll 4
        for (int i = threadIdx.x; i < count * (D / 4); i += HALF_THREADS) {
            int r = i / (D / 4), d = i % (D / 4) * 4, row = first + r;
            Four x = {0.0f, 0.0f, 0.0f, 0.0f};
            if (row < rows) x = *(const Four *)(from + (u64)row * step + d);
            *(TwoWords *)(tile + r * (D + 8) + d) = {two_bf16(x.x, x.y), two_bf16(x.z, x.w)};
        }
        return;
    }
    for (int i = threadIdx.x; i < count * D; i += HALF_THREADS) {
        int r = i / D, d = i % D, row = first + r;
        tile[r * (D + 8) + d] = row < rows && d < dim ? to_bf16(from[(u64)row * step + d]) : 0;
    }
}

// The 16 rows of a warp from row `first` on, as left factors.
template <int D> __device__ __forceinline__ void load_left(Left (&out)[D / 16], const float *from, int step, int first, int rows, int dim) {
    int lane = threadIdx.x % 32;
    for (int k = 0; k < D / 16; k++)
        for (int i = 0; i < 4; i++) {
            int row = first + lane / 4 + 8 * (i % 2), d = 16 * k + 2 * (lane % 4) + 8 * (i / 2);
            const float *x = from + (u64)row * step + d;
            out[k][i] = two_bf16(row < rows && d < dim ? x[0] : 0.0f, row < rows && d + 1 < dim ? x[1] : 0.0f);
        }
}

// out (16, N) = left (16, D) · the N rows of a tile, turned.
template <int D, int N> __device__ __forceinline__ void products(Sum (&out)[N / 8], const Left (&left)[D / 16], const u16 *tile) {
    int lane = threadIdx.x % 32;
    const u16 *row = tile + (lane % 8 + lane / 16 * 8) * (D + 8) + lane / 8 % 2 * 8;
#pragma unroll
    for (int j = 0; j < N / 8; j++)
        for (int i = 0; i < 4; i++) out[j][i] = 0.0f;
#pragma unroll
    for (int k = 0; k < D / 16; k++)
#pragma unroll
        for (int j = 0; j < N / 8; j += 2) {
            u32 b[4];
            squares(b, row + 8 * j * (D + 8) + 16 * k);
            mma(out[j], left[k], b[0], b[1]);
            mma(out[j + 1], left[k], b[2], b[3]);
        }
}

// out (16, D) += weights (16, N) · the N rows of a tile.
template <int D, int N> __device__ __forceinline__ void add_weighted(Sum (&out)[D / 8], const Sum (&weights)[N / 8], const u16 *tile) {
    int lane = threadIdx.x % 32;
    const u16 *row = tile + lane % 16 * (D + 8) + lane / 16 * 8;
#pragma unroll
    for (int k = 0; k < N / 16; k++) {
        const Sum &a = weights[2 * k], &b = weights[2 * k + 1];
        Left left = {two_bf16(a[0], a[1]), two_bf16(a[2], a[3]), two_bf16(b[0], b[1]), two_bf16(b[2], b[3])};
#pragma unroll
        for (int j = 0; j < D / 8; j += 2) {
            u32 b[4];
            squares_turned(b, row + 16 * k * (D + 8) + 8 * j);
            mma(out[j], left, b[0], b[1]);
            mma(out[j + 1], left, b[2], b[3]);
        }
    }
}

// Writes the first `rows` of a block's rows, times `scale` of each of a lane's two.
template <int D>
__device__ __forceinline__ void write(float *to, int step, int first, int rows, int dim, const Sum (&x)[D / 8], const float (&scale)[2]) {
    int lane = threadIdx.x % 32;
    for (int half = 0; half < 2; half++) {
        int row = first + lane / 4 + 8 * half;
        if (row >= rows) continue;
        for (int j = 0; j < D / 8; j++)
            for (int i = 0; i < 2; i++) {
                int d = 8 * j + 2 * (lane % 4) + i;
                if (d < dim) to[(u64)row * step + d] = x[j][2 * half + i] * scale[half];
            }
    }
}

// As place, the last queries first: causal ones see most, and who begins late should have little to do.
__device__ __forceinline__ Place last_first(int total, int heads) {
    Place at = place(total, HALF_ROWS, heads);
    at.begin = (total + HALF_ROWS - 1) / HALF_ROWS * HALF_ROWS - HALF_ROWS - at.begin;
    return at;
}

// Whether all of a block's queries see all N keys from `key` on, and their scores have nothing added.
template <int N> __device__ __forceinline__ bool plain(const Sizes &s, const Range &row, int first_query, int key) {
    return !s.bias && first_query + HALF_ROWS <= s.time && key >= row.from && key + N <= seen(s, row, first_query);
}

template <int D> __device__ __forceinline__ void bf16_forward(const float *q, const float *k, const float *v, float *out, float *sums, const Sizes &s) {
    const int N = 64;
    __shared__ __align__(16) u16 ks[N * (D + 8)], vs[N * (D + 8)];
    Place at = last_first(s.time, s.heads);
    Range row = visible(s, at.b);
    int lane = threadIdx.x % 32, mine = at.begin + threadIdx.x / 32 * 16;
    int q_step = s.heads * s.dim, k_step = s.kv_heads * s.dim, group = at.h / (s.heads / s.kv_heads);
    u64 queries = (u64)at.b * s.time * q_step + at.h * s.dim;
    const float *kb = k + at.b * s.k_batch + group * s.dim, *vb = v + at.b * s.v_batch + group * s.dim;
    Left left[D / 16];
    load_left<D>(left, q + queries, q_step, mine, s.time, s.dim);
    Sum o[D / 8] = {};
    float top[2] = {NONE, NONE}, total[2] = {0.0f, 0.0f};
    int reach = seen(s, row, min(at.begin + HALF_ROWS, s.time) - 1);
    for (int key = row.from / N * N; key < reach; key += N) {
        __syncthreads();
        load_rounded<D>(ks, kb, k_step, key, s.keys, N, s.dim);
        load_rounded<D>(vs, vb, k_step, key, s.keys, N, s.dim);
        __syncthreads();
        Sum p[N / 8];
        products<D, N>(p, left, ks);
        bool all = plain<N>(s, row, at.begin, key);
        float higher[2] = {top[0], top[1]};
#pragma unroll
        for (int j = 0; j < N / 8; j++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int t = mine + lane / 4 + i / 2 * 8, of = key + 8 * j + 2 * (lane % 4) + i % 2;
                if (all) p[j][i] *= s.scale;
                else p[j][i] = sees(s, row, t, of) ? score_of(s, at.h, t, of, p[j][i]) : NONE;
                higher[i / 2] = fmaxf(higher[i / 2], p[j][i]);
            }
        float old[2];
        for (int i = 0; i < 2; i++) {
            for (int step = 1; step < 4; step *= 2) higher[i] = fmaxf(higher[i], __shfl_xor_sync(0xffffffffu, higher[i], step));
            old[i] = top[i] == NONE ? 0.0f : exp2f((top[i] - higher[i]) * LOG2E);
            top[i] = higher[i];
            total[i] *= old[i];
            higher[i] = higher[i] == NONE ? 0.0f : higher[i]; // a row that sees nothing yet: exp2f(NONE) is 0
        }
#pragma unroll
        for (int j = 0; j < N / 8; j++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                p[j][i] = exp2f((p[j][i] - higher[i / 2]) * LOG2E);
                total[i / 2] += p[j][i];
            }
#pragma unroll
        for (int j = 0; j < D / 8; j++)
            for (int i = 0; i < 4; i++) o[j][i] *= old[i / 2];
        add_weighted<D, N>(o, p, vs);
    }
    float scale[2];
    for (int i = 0; i < 2; i++) {
        for (int step = 1; step < 4; step *= 2) total[i] += __shfl_xor_sync(0xffffffffu, total[i], step);
        scale[i] = total[i] > 0.0f ? 1.0f / total[i] : 0.0f; // who sees no key gets 0
        int t = mine + lane / 4 + 8 * i;
        if (lane % 4 == 0 && t < s.time) sums[((u64)at.b * s.heads + at.h) * s.time + t] = top[i] + logf(total[i]);
    }
    write<D>(out + queries, q_step, mine, s.time, s.dim, o, scale);
}

template <int D> __device__ __forceinline__ void bf16_query_gradient(const Given &x, float *dq, const Sizes &s) {
    const int N = D == 128 ? 32 : 64;
    __shared__ __align__(16) u16 ks[N * (D + 8)], vs[N * (D + 8)];
    Place at = last_first(s.time, s.heads);
    Range range = visible(s, at.b);
    int lane = threadIdx.x % 32, mine = at.begin + threadIdx.x / 32 * 16;
    int q_step = s.heads * s.dim, k_step = s.kv_heads * s.dim, group = at.h / (s.heads / s.kv_heads);
    u64 from = (u64)at.b * s.time * q_step + at.h * s.dim, row = ((u64)at.b * s.heads + at.h) * s.time;
    const float *kb = x.k + at.b * s.k_batch + group * s.dim, *vb = x.v + at.b * s.v_batch + group * s.dim;
    Left qs[D / 16], gs[D / 16];
    load_left<D>(qs, x.q + from, q_step, mine, s.time, s.dim);
    load_left<D>(gs, x.dy + from, q_step, mine, s.time, s.dim);
    float sum[2], delta[2];
    for (int i = 0; i < 2; i++) {
        int t = mine + lane / 4 + 8 * i;
        sum[i] = t < s.time ? x.sums[row + t] : 0.0f;
        delta[i] = t < s.time ? x.delta[row + t] : 0.0f;
    }
    Sum out[D / 8] = {};
    int reach = seen(s, range, min(at.begin + HALF_ROWS, s.time) - 1);
    for (int key = range.from / N * N; key < reach; key += N) {
        __syncthreads();
        load_rounded<D>(ks, kb, k_step, key, s.keys, N, s.dim);
        load_rounded<D>(vs, vb, k_step, key, s.keys, N, s.dim);
        __syncthreads();
        Sum scores[N / 8], slopes[N / 8];
        products<D, N>(scores, qs, ks);
        products<D, N>(slopes, gs, vs);
        bool all = plain<N>(s, range, at.begin, key);
#pragma unroll
        for (int j = 0; j < N / 8; j++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int t = mine + lane / 4 + i / 2 * 8, of = key + 8 * j + 2 * (lane % 4) + i % 2;
                bool there = all || sees(s, range, t, of);
                float score = there ? score_of(s, at.h, t, of, scores[j][i]) : NONE;
                slopes[j][i] = there ? exp2f((score - sum[i / 2]) * LOG2E) * (slopes[j][i] - delta[i / 2]) : 0.0f;
            }
        add_weighted<D, N>(out, slopes, ks);
    }
    write<D>(dq + from, q_step, mine, s.time, s.dim, out, {s.scale, s.scale});
}

// dk and dv of a block of keys, over all queries of the heads that share them.
template <int D> __device__ __forceinline__ void bf16_key_gradient(const Given &x, float *dk, float *dv, const Sizes &s) {
    const int N = D == 128 ? 32 : 64;
    __shared__ __align__(16) u16 qs[N * (D + 8)], gs[N * (D + 8)];
    __shared__ float sums[N], deltas[N];
    Place at = place(s.keys, HALF_ROWS, s.kv_heads); // h counts the heads of keys
    Range range = visible(s, at.b);
    int lane = threadIdx.x % 32, mine = at.begin + threadIdx.x / 32 * 16;
    int q_step = s.heads * s.dim, k_step = s.kv_heads * s.dim, heads = s.heads / s.kv_heads;
    Left ks[D / 16], vs[D / 16];
    load_left<D>(ks, x.k + at.b * s.k_batch + at.h * s.dim, k_step, mine, s.keys, s.dim);
    load_left<D>(vs, x.v + at.b * s.v_batch + at.h * s.dim, k_step, mine, s.keys, s.dim);
    Sum k_sum[D / 8] = {}, v_sum[D / 8] = {};
    int earliest = s.causal ? max(0, at.begin + s.time - s.keys) : 0; // no query before it sees any of these keys
    bool inside = !s.bias && at.begin >= range.from && at.begin + HALF_ROWS <= range.to;
    for (int h = at.h * heads; h < (at.h + 1) * heads; h++) {
        u64 row = ((u64)at.b * s.heads + h) * s.time, queries = (u64)at.b * s.time * q_step + h * s.dim;
        for (int begin = earliest / N * N; begin < s.time; begin += N) {
            __syncthreads();
            load_rounded<D>(qs, x.q + queries, q_step, begin, s.time, N, s.dim);
            load_rounded<D>(gs, x.dy + queries, q_step, begin, s.time, N, s.dim);
            if (threadIdx.x < N) {
                bool there = begin + threadIdx.x < s.time;
                sums[threadIdx.x] = there ? x.sums[row + begin + threadIdx.x] : 0.0f;
                deltas[threadIdx.x] = there ? x.delta[row + begin + threadIdx.x] : 0.0f;
            }
            __syncthreads();
            Sum p[N / 8], slopes[N / 8];
            products<D, N>(p, ks, qs);
            products<D, N>(slopes, vs, gs);
            // Whether the first query of the tile, and so all of them, sees all keys of the block.
            bool all = inside && begin + N <= s.time && at.begin + HALF_ROWS <= seen(s, range, begin);
#pragma unroll
            for (int j = 0; j < N / 8; j++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    int of = mine + lane / 4 + i / 2 * 8, c = 8 * j + 2 * (lane % 4) + i % 2, t = begin + c;
                    bool there = all || sees(s, range, t, of);
                    float score = there ? score_of(s, h, t, of, p[j][i]) : NONE;
                    p[j][i] = there ? exp2f((score - sums[c]) * LOG2E) : 0.0f;
                    slopes[j][i] = there ? p[j][i] * (slopes[j][i] - deltas[c]) : 0.0f;
                }
            add_weighted<D, N>(v_sum, p, gs);
            add_weighted<D, N>(k_sum, slopes, qs);
        }
    }
    u64 to = (u64)at.b * s.keys * k_step + at.h * s.dim;
    write<D>(dk + to, k_step, mine, s.keys, s.dim, k_sum, {s.scale, s.scale});
    write<D>(dv + to, k_step, mine, s.keys, s.dim, v_sum, {1.0f, 1.0f});
}

#define BF16_ATTENTION(D)                                                                                                \
    extern "C" __global__ void __launch_bounds__(HALF_THREADS) bf16_forward_##D(                                         \
        const float *q, const float *k, const float *v, float *out, float *sums, Sizes s) {                              \
        bf16_forward<D>(q, k, v, out, sums, s);                                                                               \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(HALF_THREADS) bf16_query_gradient_##D(                                  \
        const float *q, const float *k, const float *v, const float *dy, const float *sums, const float *delta,          \
        float *dq, Sizes s) {                                                                                            \
        bf16_query_gradient<D>({q, k, v, dy, sums, delta}, dq, s);                                                            \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(HALF_THREADS) bf16_key_gradient_##D(                                    \
        const float *q, const float *k, const float *v, const float *dy, const float *sums, const float *delta,          \
        float *dk, float *dv, Sizes s) {                                                                                 \
        bf16_key_gradient<D>({q, k, v, dy, sums, delta}, dk, dv, s);                                                          \
    }

BF16_ATTENTION(32)
BF16_ATTENTION(64)
BF16_ATTENTION(128)
