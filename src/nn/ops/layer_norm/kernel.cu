// Layer normalisation. x, dy, y and dx are (rows, n), w, b, dw and db (n); a block a row. The mean is taken first and then
// the squares of what is left: a mean far from zero would take the digits of E[x²] − E[x]².

// Mean and 1 / √(var + eps) of a row.
struct Row {
    float mean, r;
};

__device__ __forceinline__ Row measure(const float *row, int n, float eps, float *partial_sums) {
    float sum = 0.0f, squares = 0.0f;
    for (int i = threadIdx.x; i < n; i += THREADS) sum += row[i];
    float mean = block_sum(sum, partial_sums) / n;
    for (int i = threadIdx.x; i < n; i += THREADS) squares += (row[i] - mean) * (row[i] - mean);
    return {mean, 1.0f / sqrtf(block_sum(squares, partial_sums) / n + eps)};
}

extern "C" __global__ void layer_norm_forward(const float *x, const float *w, float *y, int n, float eps) {
    __shared__ float partial_sums[WARPS];
    u64 at = (u64)blockIdx.x * n;
    Row row = measure(x + at, n, eps, partial_sums);
    for (int i = threadIdx.x; i < n; i += THREADS) y[at + i] = (x[at + i] - row.mean) * row.r * w[i];
}

extern "C" __global__ void layer_norm_forward_biased(const float *x, const float *w, const float *b, float *y, int n,
                                                     float eps) {
    __shared__ float partial_sums[WARPS];
    u64 at = (u64)blockIdx.x * n;
    Row row = measure(x + at, n, eps, partial_sums);
    for (int i = threadIdx.x; i < n; i += THREADS) y[at + i] = (x[at + i] - row.mean) * row.r * w[i] + b[i];
}

// dx, and mean and root of each row for the gradients of w and b.
extern "C" __global__ void layer_norm_backward(const float *x, const float *w, const float *dy, float *dx, Row *measures,
                                               int n, float eps) {
    __shared__ float partial_sums[WARPS];
    u64 at = (u64)blockIdx.x * n;
    Row row = measure(x + at, n, eps, partial_sums);
    float shift = 0.0f, pull = 0.0f;
    for (int i = threadIdx.x; i < n; i += THREADS) {
        float g = w[i] * dy[at + i];
        shift += g;
        pull += g * (x[at + i] - row.mean) * row.r;
    }
    shift = block_sum(shift, partial_sums) / n;
    pull = block_sum(pull, partial_sums) / n;
    if (threadIdx.x == 0) measures[blockIdx.x] = row;
    for (int i = threadIdx.x; i < n; i += THREADS) {
        float normal = (x[at + i] - row.mean) * row.r;
        dx[at + i] = row.r * (w[i] * dy[at + i] - shift - normal * pull);
    }
}

// Sums of dy · normal and of dy over `step` rows: partial (⌈rows / step⌉, 2, n). Blocks: (columns / THREADS, parts).
extern "C" __global__ void layer_norm_weight(const float *x, const float *dy, const Row *measures, float *partial, int rows,
                                             int n, int step) {
    int j = blockIdx.x * THREADS + threadIdx.x;
    if (j >= n) return;
    int begin = blockIdx.y * step, end = min(begin + step, rows);
    float dw = 0.0f, db = 0.0f;
    for (int i = begin; i < end; i++) {
        float d = dy[(u64)i * n + j];
        dw += d * (x[(u64)i * n + j] - measures[i].mean) * measures[i].r;
        db += d;
    }
    partial[(u64)blockIdx.y * 2 * n + j] = dw;
    partial[((u64)blockIdx.y * 2 + 1) * n + j] = db;
}

// The parts added in order: partial (parts, 2, n) -> dw and db (n).
extern "C" __global__ void layer_norm_add(const float *partial, float *dw, float *db, int parts, int n) {
    int j = blockIdx.x * THREADS + threadIdx.x;
    if (j >= n) return;
    float w = 0.0f, b = 0.0f;
    for (int i = 0; i < parts; i++) {
        w += partial[(u64)i * 2 * n + j];
        b += partial[((u64)i * 2 + 1) * n + j];
    }
    dw[j] = w;
    db[j] = b;
}
