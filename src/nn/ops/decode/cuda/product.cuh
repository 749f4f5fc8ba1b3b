// Products of few rows, the heart of a step: a warp, or some warps of a block, make M outputs of all rows at once. What
// they read lies in shared memory, normed or put together on its way there; what is read of the weights does not depend on
// the kernel before, so it is on its way before that one has ended.

// W, in 4 bits or dense, and the second half of an adapter's update: `y = scale · x Wᵀ + low Bᵀ`.
struct Matrix {
    const u8 *codes, *absmax; // null when dense
    const float *nested, *map, *dense;
    const float *b; // (out, rank)
    float offset, scale;
    int out, wide, rank;
    int low; // where `x Aᵀ` of this adapter begins in a row of all of them
};

// What a product reads, (rows, wide): as it is, under an RMS norm, or as shares of attention that are put together.
enum Kind { AS_IT_IS, NORMED, JOINED };
struct Input {
    const float *x;    // (rows, wide), or shares (rows, heads, splits, dim)
    const float *norm; // (wide)
    const float *sums; // (rows, heads, splits, 2): the highest score of a share and the sum of its weights
    float eps;
    int wide, dim, splits;
};

// Keys of a share at least: fewer are not worth a block.
#define LEAST 32

// How many keys each share of attention has, when `held` are there.
__device__ __forceinline__ int share_size(int held, int splits) { return max((held + splits - 1) / splits, LEAST); }

// From here on the kernel before has ended, and what it wrote is there.
__device__ __forceinline__ void after_previous() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Lets the next kernel come in as soon as a multiprocessor is free for it.
__device__ __forceinline__ void let_next() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
#endif
}

__device__ __forceinline__ float mixed(float a, float s, float b, float t) { return a * s + b * t; }
__device__ __forceinline__ Four mixed(const Four &a, float s, const Four &b, float t) {
    return {a.x * s + b.x * t, a.y * s + b.y * t, a.z * s + b.z * t, a.w * s + b.w * t};
}
__device__ __forceinline__ float times(float a, float b) { return a * b; }
__device__ __forceinline__ Four times(const Four &a, const Four &b) { return {a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w}; }
__device__ __forceinline__ float square(float a) { return a * a; }
__device__ __forceinline__ float square(const Four &a) { return a.x * a.x + a.y * a.y + a.z * a.z + a.w * a.w; }

// One value of the input, or four; `used` is the number of shares that hold any keys.
template <typename T, Kind K> __device__ __forceinline__ T read(const Input &input, int row, int column, int used) {
    if (K != JOINED) return *(const T *)(input.x + (u64)row * input.wide + column);
    u64 share = ((u64)row * (input.wide / input.dim) + column / input.dim) * input.splits;
    const float *values = input.x + share * input.dim + column % input.dim, *sums = input.sums + 2 * share;
    T all = *(const T *)values;
    float highest = sums[0], sum = sums[1];
#pragma unroll 4
    for (int i = 1; i < used; i++) {
        float other = sums[2 * i], both = fmaxf(highest, other);
        float old = expf(highest - both), fresh = expf(other - both);
        all = mixed(all, old, *(const T *)(values + i * input.dim), fresh);
        sum = sum * old + sums[2 * i + 1] * fresh;
        highest = both;
    }
    return mixed(all, 1.0f / sum, T(), 0.0f);
}

// Where column c lies in shared memory: lanes that read 16 bytes each, 16 or 4 columns apart, use different banks.
__device__ __forceinline__ int place(int c) { return c ^ ((c >> 5 & 7) << 2); }

// Columns `begin .. begin + count` into `input_tile` (R, TILE), times the norm's weight but not yet divided by the root, whose
// squares are added to `squares`.
template <typename T, Kind K, int R, int TILE>
__device__ __forceinline__ void load_tile(const Input &input, int rows, int begin, int count, int used, float *input_tile,
                                      float (&squares)[R]) {
    const int step = sizeof(T) / sizeof(float);
    if constexpr (K == JOINED) {
#pragma unroll 1
        for (int i = threadIdx.x; i < R * (count / step); i += THREADS) {
            int r = i / (count / step), c = i % (count / step) * step;
            *(T *)(input_tile + r * TILE + place(c)) = read<T, K>(input, min(r, rows - 1), begin + c, used);
        }
    } else {
        for (int c = step * threadIdx.x; c < count; c += step * THREADS) {
            T x[R], weight = K == NORMED ? *(const T *)(input.norm + begin + c) : T();
#pragma unroll
            for (int r = 0; r < R; r++) x[r] = read<T, K>(input, min(r, rows - 1), begin + c, used);
#pragma unroll
            for (int r = 0; r < R; r++) {
                if (K == NORMED) {
                    squares[r] += square(x[r]);
                    x[r] = times(x[r], weight);
                }
                *(T *)(input_tile + r * TILE + place(c)) = x[r];
            }
        }
    }
}

// 16 codes for each of M outputs and U steps, and what their scales are made of.
template <int M, int U> struct Ahead {
    TwoWords codes[M][U];
    float nested[M][U];
    u8 absmax[M][U];
};

// Fetches them: chunks c, c + 32 … below `end`, of the columns from `begin` on.
template <int M, int U>
__device__ __forceinline__ void fetch(const Matrix *const (&w)[M], const int (&o)[M], int begin, int c, int end,
                                      Ahead<M, U> &ahead) {
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int u = 0; u < U; u++) {
            if (c + 32 * u >= end) continue;
            u64 at = (u64)o[m] * w[m]->wide + begin + 16 * (c + 32 * u);
            ahead.codes[m][u] = *(const TwoWords *)(w[m]->codes + at / 2);
            ahead.absmax[m][u] = w[m]->absmax[at / BLOCK];
            ahead.nested[m][u] = w[m]->nested[at / BLOCK / NESTED_BLOCK];
        }
}

// Adds 16 columns of M outputs to the sums.
template <int R, int M, int TILE>
__device__ __forceinline__ void add_codes(const TwoWords (&codes)[M], const float (&scale)[M], const float *values,
                                          const float *input_tile, int column, float (&sums)[M][R]) {
    float part[M][R] = {};
    // With many rows the text is long, and is run through once: what has to be fetched of it counts.
#pragma unroll (R > 2 ? 1 : 4)
    for (int four = 0; four < 4; four++) {
        float value[M][4];
#pragma unroll
        for (int m = 0; m < M; m++) {
            u32 word = (four < 2 ? codes[m].x : codes[m].y) >> 16 * (four % 2);
#pragma unroll
            for (int i = 0; i < 4; i++) {
                // Four times the code: the distance in bytes.
                const int shift = 8 * (i / 2) + (i % 2 ? 0 : 4);
                u32 at = (shift ? word >> (shift - 2) : word << 2) & 60;
                value[m][i] = *(const float *)((const char *)values + at);
            }
        }
#pragma unroll
        for (int r = 0; r < R; r++) {
            Four x = *(const Four *)(input_tile + r * TILE + place(column + 4 * four));
#pragma unroll
            for (int m = 0; m < M; m++)
                part[m][r] += value[m][0] * x.x + value[m][1] * x.y + value[m][2] * x.z + value[m][3] * x.w;
        }
    }
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int r = 0; r < R; r++) sums[m][r] += part[m][r] * scale[m];
}

// Dense columns `from .. to` of a tile, four at once.
template <int R, int M, int TILE>
__device__ __forceinline__ void add_dense(const Matrix *const (&w)[M], const int (&o)[M], int begin, int from, int to,
                                          const float *input_tile, float (&sums)[M][R]) {
    const float *row[M];
#pragma unroll
    for (int m = 0; m < M; m++) row[m] = w[m]->dense + (u64)o[m] * w[m]->wide + begin;
#pragma unroll (R > 2 ? 1 : 4)
    for (int c = 4 * (from / 4 + threadIdx.x % 32); c < to; c += 128) {
        Four value[M];
#pragma unroll
        for (int m = 0; m < M; m++) value[m] = *(const Four *)(row[m] + c);
#pragma unroll
        for (int r = 0; r < R; r++) {
            Four x = *(const Four *)(input_tile + r * TILE + place(c));
#pragma unroll
            for (int m = 0; m < M; m++)
                sums[m][r] += value[m].x * x.x + value[m].y * x.y + value[m].z * x.z + value[m].w * x.w;
        }
    }
}

// Columns `from .. to` of a tile one by one, whatever the weight is.
template <int R, int M, int TILE>
__device__ __forceinline__ void add_single(const Matrix *const (&w)[M], const int (&o)[M], int begin, int from, int to,
                                           const float *table, const float *input_tile, float (&sums)[M][R]) {
    for (int c = from + threadIdx.x % 32; c < to; c += 32)
        for (int m = 0; m < M; m++) {
            u64 at = (u64)o[m] * w[m]->wide + begin + c;
            float value;
            if (w[m]->codes) {
                int byte = w[m]->codes[at / 2];
                value = table[NESTED_CODES + (at % 2 ? byte & 15 : byte >> 4)];
                value *= scale_of(w[m]->absmax, w[m]->nested, table, w[m]->offset, at / BLOCK);
            } else {
                value = w[m]->dense[at];
            }
            for (int r = 0; r < R; r++) sums[m][r] += value * input_tile[r * TILE + place(c)];
        }
}

// What all products of a launch share.
struct Frame {
    const float *low; // (rows, ranks): `x Aᵀ` of adapters
    const int *where; // the position, and the capacity of the cache
    int ranks, rows;
    int splits; // warps that share an output: 1, 2, 4 or 8
};

// The first of M outputs of a warp: which of all that there are.
__device__ __forceinline__ int unit(const Frame &frame) {
    return blockIdx.x * (WARPS / frame.splits) + threadIdx.x / 32 / frame.splits;
}

// This lane's part of the updates of adapters; `b` is its first value of B, fetched before.
template <int R, int M>
__device__ __forceinline__ void add_low(const Matrix *const (&w)[M], const int (&o)[M], const Frame &frame, bool mine,
                                        const float (&b)[M], float (&update)[M][R]) {
    int lane = threadIdx.x % 32;
    for (int m = 0; m < M; m++)
        for (int r = 0; r < R; r++) {
            const float *low = frame.low + (u64)min(r, frame.rows - 1) * frame.ranks + w[m]->low;
            update[m][r] = mine && lane < w[m]->rank ? b[m] * low[lane] : 0.0f;
            for (int k = 32 + lane; mine && k < w[m]->rank; k += 32)
                update[m][r] += w[m]->b[(u64)o[m] * w[m]->rank + k] * low[k];
        }
}

// Outputs o of matrices w (all in 4 bits or all dense) for R rows, of which `frame.rows` are there. The sums are whole in
// the first of the warps that share them (`splits`), in all its lanes. All threads of a block must come here. `meanwhile`
// is called once the kernel before has ended. With `again` the block has read this input just now.
template <Kind K, int R, int M, typename F>
__device__ __forceinline__ void product(const Input &input, const Matrix *const (&w)[M], const int (&o)[M], const Frame &frame,
                                        float (&sums)[M][R], F &&meanwhile, bool again = false) {
    const int TILE = R == 1 ? 4096 : 8192 / R, U = M == 1 ? 4 : 2;
    __shared__ Four input_fours[R * TILE / 4];
    __shared__ float table[NESTED_CODES + 16], square_sums[R][WARPS], shares[WARPS][M * R];
    float *input_tile = (float *)input_fours;
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, split = warp % frame.splits;
    bool packed = w[0]->codes, whole = packed && input.wide % 16 == 0;
    bool fours = input.wide % 4 == 0 && (K != JOINED || input.dim % 4 == 0);
    int used = 1;
    float squares[R];
    for (int r = 0; r < R; r++) squares[r] = 0.0f;
    for (int m = 0; m < M; m++)
        for (int r = 0; r < R; r++) sums[m][r] = 0.0f;
    if (again) __syncthreads(); // all reads of shared memory are done
    else if (packed)
        for (int i = threadIdx.x; i < NESTED_CODES + 16; i += THREADS) table[i] = w[0]->map[i];
    float b[M], update[M][R];
    for (int m = 0; m < M; m++) b[m] = split == 0 && lane < w[m]->rank ? w[m]->b[(u64)o[m] * w[m]->rank + lane] : 0.0f;
    for (int begin = 0; begin < input.wide; begin += TILE) {
        int count = min(TILE, input.wide - begin), grain = whole ? 16 : 4;
        int n = (count + grain - 1) / grain;
        int from = n * split / frame.splits, to = n * (split + 1) / frame.splits;
        Ahead<M, U> ahead = {};
        if (whole) fetch(w, o, begin, from + lane, to, ahead);
        if (begin == 0) {
            if (!again) after_previous();
            meanwhile();
            if (R <= 2) add_low<R, M>(w, o, frame, split == 0, b, update);
            if (K == JOINED) {
                int held = frame.where[0] + 1, size = share_size(held, input.splits);
                used = (held + size - 1) / size;
            }
        } else {
            __syncthreads(); // all reads of the last tile are done
        }
        if (!again || input.wide > TILE) { // else it is still there
            if (fours) load_tile<Four, K, R, TILE>(input, frame.rows, begin, count, used, input_tile, squares);
            else load_tile<float, K, R, TILE>(input, frame.rows, begin, count, used, input_tile, squares);
            if (K == NORMED && begin + TILE >= input.wide)
                for (int r = 0; r < R; r++) {
                    float sum = warp_sum(squares[r]);
                    if (lane == 0) square_sums[r][warp] = sum;
                }
        }
        __syncthreads();
        if (whole) {
            for (int c = from; c < to; c += 32 * U) {
                Ahead<M, U> now = ahead;
                if (c + 32 * U < to) fetch(w, o, begin, c + 32 * U + lane, to, ahead);
#pragma unroll
                for (int u = 0; u < U; u++) {
                    int chunk = c + 32 * u + lane;
                    if (chunk >= to) continue;
                    TwoWords codes[M];
                    float scale[M];
#pragma unroll
                    for (int m = 0; m < M; m++) {
                        codes[m] = now.codes[m][u];
                        scale[m] = scale_from(now.absmax[m][u], now.nested[m][u], table, w[m]->offset);
                    }
                    add_codes<R, M, TILE>(codes, scale, table + NESTED_CODES, input_tile, 16 * chunk, sums);
                }
            }
        } else if (!packed && input.wide % 4 == 0) {
            add_dense<R, M, TILE>(w, o, begin, 4 * from, 4 * to, input_tile, sums);
        } else {
            add_single<R, M, TILE>(w, o, begin, 4 * from, min(4 * to, count), table, input_tile, sums);
        }
    }
    if (R > 2) { // later: registers are short
        if (frame.ranks) add_low<R, M>(w, o, frame, split == 0, b, update);
        else
            for (int m = 0; m < M; m++)
                for (int r = 0; r < R; r++) update[m][r] = 0.0f;
    }
    for (int r = 0; r < R; r++) {
        float root = 1.0f;
        if (K == NORMED) {
            float sum = square_sums[r][0];
            for (int i = 1; i < WARPS; i++) sum += square_sums[r][i];
            root = 1.0f / sqrtf(sum / input.wide + input.eps);
        }
        for (int m = 0; m < M; m++) {
            sums[m][r] = warp_sum(sums[m][r] * (root * w[m]->scale) + update[m][r]);
        }
    }
    if (frame.splits == 1) return;
    for (int m = 0; m < M; m++)
        for (int r = 0; r < R; r++)
            if (lane == 0) shares[warp][m * R + r] = sums[m][r];
    __syncthreads();
    if (split == 0)
        for (int i = 1; i < frame.splits; i++)
            for (int m = 0; m < M; m++)
                for (int r = 0; r < R; r++) sums[m][r] += shares[warp + i][m * R + r];
}

// What a lane keeps of the sums: that of its row.
template <int R> __device__ __forceinline__ float own(const float (&sums)[R]) {
    float mine = sums[0];
    for (int r = 1; r < R; r++)
        if (threadIdx.x % 32 == r) mine = sums[r];
    return mine;
}
