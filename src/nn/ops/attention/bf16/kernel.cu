// Attention whose products have bfloat16 factors and f32 sums, made by the tensor cores 16 × 8 × 16 at a time (PTX ISA,
// mma.m16n8k16); see tiles.cuh, which is included in front. Softmax, its gradient and all sums are f32. Queries, keys, values and
// the gradient of the output are rounded before, without gaps and with D values a head, padded with zeros.
//
// Four warps a block, 16 rows each: queries, or in the gradient of keys and values, keys. A lane has two rows, `lane / 4`
// and 8 after it, and of 8 columns two, `2 · (lane % 4)` and the next: so the tensor cores lay out sums, and two such squares
// side by side are a factor again. A tile is copied while the one before is multiplied; the 8 values behind each of its rows
// keep 8 rows in different banks.

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
// two neighbours of row `lane / 4`, or transposed, of column `lane / 4`.
__device__ __forceinline__ void squares(u32 (&out)[4], const u16 *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"((u32)__cvta_generic_to_shared(row)));
}
__device__ __forceinline__ void squares_transposed(u32 (&out)[4], const u16 *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"((u32)__cvta_generic_to_shared(row)));
}

// Copies 16 bytes to shared memory, or zeros, in the background.
__device__ __forceinline__ void copy_16(u16 *to, const u16 *from, bool there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"((u32)__cvta_generic_to_shared(to)), "l"(from), "r"(there ? 16 : 0));
}
// The copies so far are one batch; waits until at most N batches are on their way.
__device__ __forceinline__ void close_batch() { asm volatile("cp.async.commit_group;"); }
template <int N> __device__ __forceinline__ void wait_batches() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }
#endif

// N rows of a tile from row `first` on, of which the first `rows` are there, `step` values apart in memory.
template <int D, int N> __device__ __forceinline__ void fetch(u16 *tile, const u16 *from, int step, int first, int rows) {
#pragma unroll
    for (int i = threadIdx.x; i < N * (D / 8); i += HALF_THREADS) {
        int r = i / (D / 8), d = i % (D / 8) * 8, row = first + r;
        copy_16(tile + r * (D + 8) + d, from + (u64)min(row, rows - 1) * step + d, row < rows);
    }
}

// Tiles of two matrices, unless they begin at `end` or behind it, as one batch.
template <int D, int N>
__device__ __forceinline__ void fetch_both(u16 *tile_a, u16 *tile_b, const u16 *a, const u16 *b, int step, int first, int end, int rows) {
    if (first < end) {
        fetch<D, N>(tile_a, a, step, first, rows);
        fetch<D, N>(tile_b, b, step, first, rows);
    }
    close_batch();
}

// The 16 rows of a warp from row `first` on, as left factors.
template <int D> __device__ __forceinline__ void load_left(Left (&out)[D / 16], const u16 *from, int step, int first, int rows) {
    int lane = threadIdx.x % 32;
    for (int k = 0; k < D / 16; k++)
        for (int i = 0; i < 4; i++) {
            int row = first + lane / 4 + 8 * (i % 2), d = 16 * k + 2 * (lane % 4) + 8 * (i / 2);
            out[k][i] = row < rows ? *(const u32 *)(from + (u64)row * step + d) : 0;
        }
}

// out (16, N) = left (16, D) · the N rows of a tile, transposed.
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
            squares_transposed(b, row + 16 * k * (D + 8) + 8 * j);
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

// As place, the last queries first: causal ones see most, and blocks that begin late should have little to do.
__device__ __forceinline__ Place last_first(int total, int heads) {
    Place at = place(total, HALF_ROWS, heads);
    at.begin = (total + HALF_ROWS - 1) / HALF_ROWS * HALF_ROWS - HALF_ROWS - at.begin;
    return at;
}

// Whether all of a block's queries see all N keys from `key` on, and their scores have nothing added.
template <int N> __device__ __forceinline__ bool plain(const Sizes &s, const Range &row, int first_query, int key) {
    return !s.bias && first_query + HALF_ROWS <= s.time && key >= first_seen(row, first_query + HALF_ROWS - 1) &&
           key + N <= seen(s, row, first_query);
}

template <int D>
__device__ __forceinline__ void bf16_forward(const u16 *q, const u16 *k, const u16 *v, float *out, float *sums, const Sizes &s) {
    const int N = D == 128 ? 32 : 64;
    __shared__ __align__(16) u16 ks[2][N * (D + 8)], vs[2][N * (D + 8)];
    Place at = last_first(s.time, s.heads);
    Range row = visible(s, at.b);
    int lane = threadIdx.x % 32, mine = at.begin + threadIdx.x / 32 * 16;
    int k_step = s.kv_heads * D, group = at.h / (s.heads / s.kv_heads);
    u64 keys = (u64)at.b * s.keys * k_step + group * D;
    Left left[D / 16];
    load_left<D>(left, q + ((u64)at.b * s.time * s.heads + at.h) * D, s.heads * D, mine, s.time);
    Sum o[D / 8] = {};
    float top[2] = {NONE, NONE}, total[2] = {0.0f, 0.0f};
    int reach = seen(s, row, min(at.begin + HALF_ROWS, s.time) - 1), begin = first_seen(row, at.begin) / N * N, turn = 0;
    fetch_both<D, N>(ks[0], vs[0], k + keys, v + keys, k_step, begin, reach, s.keys);
    for (int key = begin; key < reach; key += N, turn ^= 1) {
        fetch_both<D, N>(ks[turn ^ 1], vs[turn ^ 1], k + keys, v + keys, k_step, key + N, reach, s.keys);
        wait_batches<1>();
        __syncthreads();
        Sum p[N / 8];
        products<D, N>(p, left, ks[turn]);
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
        add_weighted<D, N>(o, p, vs[turn]);
        __syncthreads(); // before the tile after the next overwrites it
    }
    float scale[2];
    for (int i = 0; i < 2; i++) {
        for (int step = 1; step < 4; step *= 2) total[i] += __shfl_xor_sync(0xffffffffu, total[i], step);
        scale[i] = total[i] > 0.0f ? 1.0f / total[i] : 0.0f; // a query that sees no key gets 0
        int t = mine + lane / 4 + 8 * i;
        if (lane % 4 == 0 && t < s.time) sums[((u64)at.b * s.heads + at.h) * s.time + t] = top[i] + logf(total[i]);
    }
    write<D>(out + ((u64)at.b * s.time * s.heads + at.h) * s.dim, s.heads * s.dim, mine, s.time, s.dim, o, scale);
}

// What backward reads.
struct Rounded {
    const u16 *q, *k, *v, *dy;
    const float *sums, *delta;
};

template <int D> __device__ __forceinline__ void bf16_query_gradient(const Rounded &x, float *dq, const Sizes &s) {
    const int N = D == 128 ? 32 : 64;
    __shared__ __align__(16) u16 ks[2][N * (D + 8)], vs[2][N * (D + 8)];
    Place at = last_first(s.time, s.heads);
    Range range = visible(s, at.b);
    int lane = threadIdx.x % 32, mine = at.begin + threadIdx.x / 32 * 16;
    int k_step = s.kv_heads * D, group = at.h / (s.heads / s.kv_heads);
    u64 head = (u64)at.b * s.time * s.heads + at.h, row = ((u64)at.b * s.heads + at.h) * s.time;
    u64 keys = (u64)at.b * s.keys * k_step + group * D;
    Left qs[D / 16], gs[D / 16];
    load_left<D>(qs, x.q + head * D, s.heads * D, mine, s.time);
    load_left<D>(gs, x.dy + head * D, s.heads * D, mine, s.time);
    float sum[2], delta[2];
    for (int i = 0; i < 2; i++) {
        int t = mine + lane / 4 + 8 * i;
        sum[i] = t < s.time ? x.sums[row + t] : 0.0f;
        delta[i] = t < s.time ? x.delta[row + t] : 0.0f;
    }
    Sum out[D / 8] = {};
    int reach = seen(s, range, min(at.begin + HALF_ROWS, s.time) - 1), begin = first_seen(range, at.begin) / N * N, turn = 0;
    fetch_both<D, N>(ks[0], vs[0], x.k + keys, x.v + keys, k_step, begin, reach, s.keys);
    for (int key = begin; key < reach; key += N, turn ^= 1) {
        fetch_both<D, N>(ks[turn ^ 1], vs[turn ^ 1], x.k + keys, x.v + keys, k_step, key + N, reach, s.keys);
        wait_batches<1>();
        __syncthreads();
        Sum scores[N / 8], slopes[N / 8];
        products<D, N>(scores, qs, ks[turn]);
        products<D, N>(slopes, gs, vs[turn]);
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
        add_weighted<D, N>(out, slopes, ks[turn]);
        __syncthreads();
    }
    write<D>(dq + head * s.dim, s.heads * s.dim, mine, s.time, s.dim, out, {s.scale, s.scale});
}

// dk and dv of a block of keys, over all queries of the heads that share them.
template <int D> __device__ __forceinline__ void bf16_key_gradient(const Rounded &x, float *dk, float *dv, const Sizes &s) {
    const int N = D == 128 ? 32 : 64;
    __shared__ __align__(16) u16 qs[2][N * (D + 8)], gs[2][N * (D + 8)];
    __shared__ float sums[2][N], deltas[2][N];
    Place at = place(s.keys, HALF_ROWS, s.kv_heads); // h counts the heads of keys
    Range range = visible(s, at.b);
    int lane = threadIdx.x % 32, mine = at.begin + threadIdx.x / 32 * 16;
    int heads = s.heads / s.kv_heads;
    u64 head = (u64)at.b * s.keys * s.kv_heads + at.h;
    Left ks[D / 16], vs[D / 16];
    load_left<D>(ks, x.k + head * D, s.kv_heads * D, mine, s.keys);
    load_left<D>(vs, x.v + head * D, s.kv_heads * D, mine, s.keys);
    Sum k_sum[D / 8] = {}, v_sum[D / 8] = {};
    int earliest = s.causal ? max(0, at.begin + s.time - s.keys) : 0; // no query before it sees any of these keys
    bool inside = !s.bias && at.begin >= range.from && at.begin + HALF_ROWS <= range.to;
    for (int h = at.h * heads; h < (at.h + 1) * heads; h++) {
        u64 row = ((u64)at.b * s.heads + h) * s.time, queries = ((u64)at.b * s.time * s.heads + h) * D;
        int first = earliest / N * N, turn = 0;
        auto ahead = [&](int begin, int turn) {
            if (threadIdx.x < N) {
                int t = min(begin + (int)threadIdx.x, s.time - 1);
                sums[turn][threadIdx.x] = x.sums[row + t];
                deltas[turn][threadIdx.x] = x.delta[row + t];
            }
            const u16 *q = x.q + queries, *dy = x.dy + queries;
            fetch_both<D, N>(qs[turn], gs[turn], q, dy, s.heads * D, begin, s.time, s.time);
        };
        ahead(first, 0);
        for (int begin = first; begin < s.time; begin += N, turn ^= 1) {
            ahead(begin + N, turn ^ 1);
            wait_batches<1>();
            __syncthreads();
            Sum p[N / 8], slopes[N / 8];
            products<D, N>(p, ks, qs[turn]);
            products<D, N>(slopes, vs, gs[turn]);
            // Whether the first query of the tile, and so all of them, sees all keys of the block.
            bool all = inside && begin + N <= s.time && at.begin + HALF_ROWS <= seen(s, range, begin) &&
                       at.begin >= first_seen(range, begin + N - 1);
#pragma unroll
            for (int j = 0; j < N / 8; j++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    int of = mine + lane / 4 + i / 2 * 8, c = 8 * j + 2 * (lane % 4) + i % 2, t = begin + c;
                    bool there = all || sees(s, range, t, of);
                    float score = there ? score_of(s, h, t, of, p[j][i]) : NONE;
                    p[j][i] = there ? exp2f((score - sums[turn][c]) * LOG2E) : 0.0f;
                    slopes[j][i] = there ? p[j][i] * (slopes[j][i] - deltas[turn][c]) : 0.0f;
                }
            add_weighted<D, N>(v_sum, p, gs[turn]);
            add_weighted<D, N>(k_sum, slopes, qs[turn]);
            __syncthreads();
        }
    }
    int step = s.kv_heads * s.dim;
    write<D>(dk + head * s.dim, step, mine, s.keys, s.dim, k_sum, {s.scale, s.scale});
    write<D>(dv + head * s.dim, step, mine, s.keys, s.dim, v_sum, {1.0f, 1.0f});
}

// x (batch, rows · heads, dim), `from_batch` values from one row of the batch to the next, -> (batch · rows · heads, wide). A
// thread makes 8 values.
extern "C" __global__ void bf16_round(const float *x, u16 *out, u64 heads, u64 all, u64 from_batch, int dim, int wide) {
    int parts = wide / 8;
    for (u64 i = first(); i < all * parts; i += stride()) {
        u64 head = i / parts;
        int d = (int)(i % parts) * 8;
        const float *from = x + head / heads * from_batch + head % heads * dim + d;
        float v[8];
        if (d + 8 <= dim && (u64)from % 16 == 0) {
            Four a = ((const Four *)from)[0], b = ((const Four *)from)[1];
            v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w, v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
        } else {
            for (int j = 0; j < 8; j++) v[j] = d + j < dim ? from[j] : 0.0f;
        }
        *(FourWords *)(out + 8 * i) = {two_bf16(v[0], v[1]), two_bf16(v[2], v[3]), two_bf16(v[4], v[5]), two_bf16(v[6], v[7])};
    }
}

#define BF16_ATTENTION(D)                                                                                                \
    extern "C" __global__ void __launch_bounds__(HALF_THREADS) bf16_forward_##D(                                         \
        const u16 *q, const u16 *k, const u16 *v, float *out, float *sums, Sizes s) {                                    \
        bf16_forward<D>(q, k, v, out, sums, s);                                                                          \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(HALF_THREADS) bf16_query_gradient_##D(                                  \
        const u16 *q, const u16 *k, const u16 *v, const u16 *dy, const float *sums, const float *delta, float *dq,       \
        Sizes s) {                                                                                                       \
        bf16_query_gradient<D>({q, k, v, dy, sums, delta}, dq, s);                                                       \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(HALF_THREADS) bf16_key_gradient_##D(                                    \
        const u16 *q, const u16 *k, const u16 *v, const u16 *dy, const float *sums, const float *delta, float *dk,       \
        float *dv, Sizes s) {                                                                                            \
        bf16_key_gradient<D>({q, k, v, dy, sums, delta}, dk, dv, s);                                                     \
    }

BF16_ATTENTION(32)
BF16_ATTENTION(64)
BF16_ATTENTION(128)
