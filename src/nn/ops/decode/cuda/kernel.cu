// One position of a decoder, R rows at most. Each kernel but the first may be launched while the one before still runs: see
// `after_previous`.

// ids (rows, new), of which column `column` counts; table (vocabulary, hidden) -> x (rows, hidden). Says where the position
// is: `where` is what all other kernels read. An id beyond the table gives NaN, as in the embedding.
extern "C" __global__ void decode_begin(const u32 *ids, const float *table, float *x, int *where, int rows, int hidden,
                                        int vocabulary, int fresh, int column, int position, int capacity) {
    if (first() == 0) where[0] = position, where[1] = capacity;
    for (u64 i = first(); i < (u64)rows * hidden; i += stride()) {
        u32 id = ids[i / hidden * fresh + column];
        x[i] = id < (u32)vocabulary ? table[(u64)id * hidden + i % hidden] : __uint_as_float(0x7fc00000u);
    }
}

// Matrices that read the same.
struct Three {
    Matrix of[3];
};

// The outputs of up to three matrices side by side: y (rows, all of them). The head, and `s · x Aᵀ` of adapters.
template <Kind K, int R>
__device__ __forceinline__ void plain(const Input &input, const Three &w, const Frame &frame, float *y) {
    let_next();
    int two = w.of[0].out + w.of[1].out, all = two + w.of[2].out, at = unit(frame), o = min(at, all - 1);
    int which = o < w.of[0].out ? 0 : o < two ? 1 : 2;
    int before = which == 0 ? 0 : which == 1 ? w.of[0].out : two;
    float sums[1][R];
    product<K, R, 1>(input, {&w.of[which]}, {o - before}, frame, sums, [] {});
    int lane = threadIdx.x % 32;
    if (at < all && threadIdx.x / 32 % frame.splits == 0 && lane < frame.rows) y[(u64)lane * all + at] = own(sums[0]);
}

// Queries, keys and values: a warp makes the two outputs of a pair, so that it can turn them. Queries go to (rows, heads,
// dim), keys and values to their place in the cache. `memory` begins with the table of angles (see rope), then come the
// keys and the values of this layer.
template <int R>
__device__ __forceinline__ void queries_keys_values(const Input &input, const Three &w, const Frame &frame,
                                                    const Heads &shape, const u64 *angles, const u64 *memory,
                                                    float *queries) {
    let_next();
    int dim = shape.dim, half = dim / 2, asked = shape.heads * half, kept = shape.kv_heads * half;
    int at = unit(frame), pair = min(at, asked + 2 * kept - 1);
    int which = pair < asked ? 0 : pair < asked + kept ? 1 : 2;
    pair -= which == 0 ? 0 : which == 1 ? asked : asked + kept;
    int head = pair / half, j = pair % half, lane = threadIdx.x % 32, o = head * dim + j;
    float sums[2][R], c = 1.0f, s = 0.0f;
    float *out = queries;
    product<NORMED, R, 2>(input, {&w.of[which], &w.of[which]}, {o, o + half}, frame, sums, [&] {
        int position = frame.where[0], capacity = frame.where[1];
        if (which < 2) {
            const float *angle = (const float *)*angles + (u64)position * dim;
            c = angle[j];
            s = angle[half + j];
        }
        if (which == 0) out += ((u64)lane * shape.heads + head) * dim + j;
        else out = (float *)memory[which - 1] + (((u64)lane * capacity + position) * shape.kv_heads + head) * dim + j;
    });
    float a = own(sums[0]), b = own(sums[1]);
    if (at < asked + 2 * kept && threadIdx.x / 32 % frame.splits == 0 && lane < frame.rows) {
        out[0] = which < 2 ? a * c - b * s : a;
        out[half] = which < 2 ? b * c + a * s : b;
    }
}

// Adds a product to the stream x (rows, out).
template <Kind K, int R>
__device__ __forceinline__ void add_product(const Input &input, const Matrix &w, const Frame &frame, float *x) {
    let_next();
    int at = unit(frame), o = min(at, w.out - 1), lane = threadIdx.x % 32;
    float sums[1][R], old = 0.0f;
    float *mine = x + (u64)min(lane, frame.rows - 1) * w.out + o;
    product<K, R, 1>(input, {&w}, {o}, frame, sums, [&] { old = *mine; });
    if (at < w.out && threadIdx.x / 32 % frame.splits == 0 && lane < frame.rows) *mine = old + own(sums[0]);
}

// `silu(gate(x)) · up(x)`: y (rows, out). There are many outputs: a block goes on with those that are as far from its first
// ones as all blocks together reach.
template <int R>
__device__ __forceinline__ void gate_up(const Input &input, const Matrix &gate, const Matrix &up, const Frame &frame, float *y) {
    let_next();
    int all = gridDim.x * (WARPS / frame.splits), lane = threadIdx.x % 32;
#pragma unroll 1
    for (int begin = 0; begin < gate.out; begin += all) {
        int at = begin + unit(frame), o = min(at, gate.out - 1);
        float sums[2][R];
        product<NORMED, R, 2>(input, {&gate, &up}, {o, o}, frame, sums, [] {}, begin > 0);
        float g = own(sums[0]), u = own(sums[1]);
        if (at < gate.out && threadIdx.x / 32 % frame.splits == 0 && lane < frame.rows)
            y[(u64)lane * gate.out + at] = g / (1.0f + expf(-g)) * u;
    }
}

// Blocks that fit a multiprocessor (`RESIDENT` in launcher.rs): some compute while others wait, and the next kernel comes in early.
#define BOUNDS(R) __launch_bounds__(THREADS, R <= 2 ? 3 : 2)
// They stay where they were put, and are read from there by index.
#define FIXED const __grid_constant__

// For heads in groups of up to G that share their keys.
#define FOR_GROUP(G)                                                                                                     \
    extern "C" __global__ BOUNDS(G) void decode_attend_##G(const float *q, const u64 *memory, const int *where,          \
                                                           float *values, float *sums, FIXED Heads shape) {              \
        attend<G>(q, memory, where, values, sums, shape);                                                                \
    }

FOR_GROUP(1)
FOR_GROUP(2)
FOR_GROUP(4)
FOR_GROUP(8)

#define FOR_ROWS(R)                                                                                                      \
    extern "C" __global__ BOUNDS(R) void decode_plain_##R(FIXED Input input, FIXED Three w, FIXED Frame frame, float *y) {\
        plain<AS_IT_IS, R>(input, w, frame, y);                                                                          \
    }                                                                                                                    \
    extern "C" __global__ BOUNDS(R) void decode_plain_normed_##R(FIXED Input input, FIXED Three w, FIXED Frame frame,    \
                                                                 float *y) {                                             \
        plain<NORMED, R>(input, w, frame, y);                                                                            \
    }                                                                                                                    \
    extern "C" __global__ BOUNDS(R) void decode_plain_joined_##R(FIXED Input input, FIXED Three w, FIXED Frame frame,    \
                                                                 float *y) {                                             \
        plain<JOINED, R>(input, w, frame, y);                                                                            \
    }                                                                                                                    \
    extern "C" __global__ BOUNDS(R) void decode_heads_##R(FIXED Input input, FIXED Three w, FIXED Frame frame,           \
                                                          FIXED Heads shape, const u64 *angles,                          \
                                                          const u64 *memory, float *queries) {                           \
        queries_keys_values<R>(input, w, frame, shape, angles, memory, queries);                                         \
    }                                                                                                                    \
    extern "C" __global__ BOUNDS(R) void decode_add_##R(FIXED Input input, FIXED Matrix w, FIXED Frame frame, float *x) {\
        add_product<AS_IT_IS, R>(input, w, frame, x);                                                                    \
    }                                                                                                                    \
    extern "C" __global__ BOUNDS(R) void decode_add_joined_##R(FIXED Input input, FIXED Matrix w, FIXED Frame frame,     \
                                                               float *x) {                                               \
        add_product<JOINED, R>(input, w, frame, x);                                                                      \
    }                                                                                                                    \
    extern "C" __global__ BOUNDS(R) void decode_gate_##R(FIXED Input input, FIXED Matrix gate, FIXED Matrix up,          \
                                                         FIXED Frame frame, float *y) {                                  \
        gate_up<R>(input, gate, up, frame, y);                                                                           \
    }

// A module has the products for one number of rows: they take a while to compile.
#if !defined(ROWS) || ROWS == 1
FOR_ROWS(1)
#endif
#if !defined(ROWS) || ROWS == 2
FOR_ROWS(2)
#endif
#if !defined(ROWS) || ROWS == 4
FOR_ROWS(4)
#endif
#if !defined(ROWS) || ROWS == 8
FOR_ROWS(8)
#endif
