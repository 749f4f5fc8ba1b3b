// RMSNorm. x, dy, y and dx are (rows, n), w and dw (n); a block a row.

extern "C" __global__ void rms_norm_forward(const float *x, const float *w, float *y, int n, float eps) {
    __shared__ float partial_sums[WARPS];
    const float *row = x + (u64)blockIdx.x * n;
    float squares = 0.0f;
    for (int i = threadIdx.x; i < n; i += THREADS) squares += row[i] * row[i];
    float r = 1.0f / sqrtf(block_sum(squares, partial_sums) / n + eps);
    float *out = y + (u64)blockIdx.x * n;
    for (int i = threadIdx.x; i < n; i += THREADS) out[i] = row[i] * r * w[i];
}

// dx, and the root r of each row for the gradient of w.
extern "C" __global__ void rms_norm_backward(const float *x, const float *w, const float *dy, float *dx, float *roots,
                                             int n, float eps) {
    __shared__ float partial_sums[WARPS];
    u64 at = (u64)blockIdx.x * n;
    float squares = 0.0f, pull = 0.0f;
    for (int i = threadIdx.x; i < n; i += THREADS) {
        float v = x[at + i];
        squares += v * v;
        pull += v * w[i] * dy[at + i];
    }
    float r = 1.0f / sqrtf(block_sum(squares, partial_sums) / n + eps);
    pull = block_sum(pull, partial_sums) * r * r * r / n;
    if (threadIdx.x == 0) roots[blockIdx.x] = r;
    for (int i = threadIdx.x; i < n; i += THREADS) dx[at + i] = w[i] * dy[at + i] * r - x[at + i] * pull;
}

// Sums of dy · x · r over `step` rows: partial (⌈rows / step⌉, n). Blocks: (columns / THREADS, parts).
extern "C" __global__ void rms_norm_weight(const float *x, const float *dy, const float *roots, float *partial, int rows,
                                           int n, int step) {
    int j = blockIdx.x * THREADS + threadIdx.x;
    if (j >= n) return;
    int begin = blockIdx.y * step, end = min(begin + step, rows);
    float sum = 0.0f;
    for (int i = begin; i < end; i++) sum += dy[(u64)i * n + j] * x[(u64)i * n + j] * roots[i];
    partial[(u64)blockIdx.y * n + j] = sum;
}

// The parts added in order: partial (parts, n) -> out (n).
extern "C" __global__ void rms_norm_add(const float *partial, float *out, int parts, int n) {
    int j = blockIdx.x * THREADS + threadIdx.x;
    if (j >= n) return;
    float sum = 0.0f;
    for (int i = 0; i < parts; i++) sum += partial[(u64)i * n + j];
    out[j] = sum;
}
