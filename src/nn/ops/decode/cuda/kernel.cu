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

// The outputs of up to three matrices side by side: y (rows, all of them). The head, and `s · x Aᵀ` of adapters.
template <int R>
__device__ __forceinline__ void plain(const Input &input, const Matrix &a, const Matrix &b, const Matrix &c, const Frame &frame,
                                      float *y) {
    let_next();
    int all = a.out + b.out + c.out, at = unit(frame), o = min(at, all - 1);
    float sums[1][R];
    Matrix w = o < a.out ? a : o < a.out + b.out ? b : c;
    int before = o < a.out ? 0 : o < a.out + b.out ? a.out : a.out + b.out;
    product<R, 1>(input, {w}, {o - before}, frame, sums, [] {});
    int lane = threadIdx.x % 32;
    if (at < all && threadIdx.x / 32 % frame.splits == 0 && lane < frame.rows) y[(u64)lane * all + at] = own(sums[0]);
}

// Queries, keys and values: a warp makes the two outputs of a pair, so that it can turn them. Queries go to (rows, heads,
// dim), keys and values to their place in the cache. `memory` begins with the table of angles (see rope), then come the
// keys and the values of this layer.
template <int R>
__device__ __forceinline__ void queries_keys_values(const Input &input, const Matrix &q, const Matrix &k, const Matrix &v,
                                                    const Frame &frame, const Heads &shape, const u64 *angles,
                                                    const u64 *memory, float *queries) {
    let_next();
    int dim = shape.dim, half = dim / 2, asked = shape.heads * half, kept = shape.kv_heads * half;
    int at = unit(frame), pair = min(at, asked + 2 * kept - 1);
    int which = pair < asked ? 0 : pair < asked + kept ? 1 : 2;
    pair -= which == 0 ? 0 : which == 1 ? asked : asked + kept;
    int head = pair / half, j = pair % half, lane = threadIdx.x % 32, o = head * dim + j;
    Matrix w = which == 0 ? q : which == 1 ? k : v;
    float sums[2][R], c = 1.0f, s = 0.0f;
    float *out = queries;
    product<R, 2>(input, {w, w}, {o, o + half}, frame, sums, [&] {
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
template <int R>
__device__ __forceinline__ void add_product(const Input &input, const Matrix &w, const Frame &frame, float *x) {
    let_next();
    int at = unit(frame), o = min(at, w.out - 1), lane = threadIdx.x % 32;
    float sums[1][R], old = 0.0f;
    float *mine = x + (u64)min(lane, frame.rows - 1) * w.out + o;
    product<R, 1>(input, {w}, {o}, frame, sums, [&] { old = *mine; });
    if (at < w.out && threadIdx.x / 32 % frame.splits == 0 && lane < frame.rows) *mine = old + own(sums[0]);
}

// `silu(gate(x)) · up(x)`: y (rows, out).
template <int R>
__device__ __forceinline__ void gate_up(const Input &input, const Matrix &gate, const Matrix &up, const Frame &frame, float *y) {
    let_next();
    int at = unit(frame), o = min(at, gate.out - 1), lane = threadIdx.x % 32;
    float sums[2][R];
    product<R, 2>(input, {gate, up}, {o, o}, frame, sums, [] {});
    float g = own(sums[0]), u = own(sums[1]);
    if (at < gate.out && threadIdx.x / 32 % frame.splits == 0 && lane < frame.rows)
        y[(u64)lane * gate.out + at] = g / (1.0f + expf(-g)) * u;
}

// Two blocks of a multiprocessor at least, so that one computes while the other waits.
#define BOUNDS __launch_bounds__(THREADS, 2)
#define FOR_ROWS(R)                                                                                                       \
    extern "C" __global__ BOUNDS void decode_plain_##R(Input input, Matrix a, Matrix b, Matrix c,     \
                                                                           Frame frame, float *y) {                       \
        plain<R>(input, a, b, c, frame, y);                                                                               \
    }                                                                                                                     \
    extern "C" __global__ BOUNDS void decode_heads_##R(Input input, Matrix q, Matrix k, Matrix v,     \
                                                                           Frame frame, Heads shape, const u64 *angles,   \
                                                                           const u64 *memory, float *queries) {           \
        queries_keys_values<R>(input, q, k, v, frame, shape, angles, memory, queries);                                    \
    }                                                                                                                     \
    extern "C" __global__ BOUNDS void decode_add_##R(Input input, Matrix w, Frame frame, float *x) {  \
        add_product<R>(input, w, frame, x);                                                                               \
    }                                                                                                                     \
    extern "C" __global__ BOUNDS void decode_gate_##R(Input input, Matrix gate, Matrix up,            \
                                                                          Frame frame, float *y) {                        \
        gate_up<R>(input, gate, up, frame, y);                                                                            \
    }                                                                                                                     \
    extern "C" __global__ BOUNDS void decode_attend_##R(const float *q, const u64 *memory,            \
                                                                            const int *where, float *values, float *sums, \
                                                                            Heads shape) {                                \
        attend<R>(q, memory, where, values, sums, shape);                                                                 \
    }

FOR_ROWS(1)
FOR_ROWS(2)
FOR_ROWS(4)
FOR_ROWS(8)
