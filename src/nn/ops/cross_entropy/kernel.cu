// Cross-entropy. logits and dlogits are (rows, n), labels (rows); a label of 2³² − 1 does not count. A block a row.

#define IGNORE 0xffffffffu

// The log-sum-exp of each row and its loss, 0 where the label does not count.
extern "C" __global__ void cross_entropy_rows(const float *logits, const u32 *labels, float *sums, float *losses, int n) {
    __shared__ float partial_sums[WARPS];
    u32 label = labels[blockIdx.x];
    if (label == IGNORE) {
        if (threadIdx.x == 0) sums[blockIdx.x] = losses[blockIdx.x] = 0.0f;
        return;
    }
    const float *row = logits + (u64)blockIdx.x * n;
    float highest = __uint_as_float(0xff800000u);
    for (int i = threadIdx.x; i < n; i += THREADS) highest = fmaxf(highest, row[i]);
    highest = block_max(highest, partial_sums);
    float total = 0.0f;
    for (int i = threadIdx.x; i < n; i += THREADS) total += expf(row[i] - highest);
    total = block_sum(total, partial_sums);
    if (threadIdx.x == 0) {
        float sum = highest + logf(total);
        sums[blockIdx.x] = sum;
        losses[blockIdx.x] = sum - row[label];
    }
}

// The mean of the rows that count, summed in f64: losses (rows) -> out (1). One block.
extern "C" __global__ void cross_entropy_mean(const float *losses, float *out, int rows, int counted) {
    __shared__ double partial_sums[WARPS];
    double total = 0.0;
    for (int i = threadIdx.x; i < rows; i += THREADS) total += losses[i];
    total = block_sum(total, partial_sums);
    if (threadIdx.x == 0) out[0] = (float)(total / counted);
}

// The gradient: dy (1) is read here, so that the host need not wait for it.
extern "C" __global__ void cross_entropy_backward(const float *logits, const u32 *labels, const float *sums,
                                                  const float *dy, float *dlogits, int n, int counted) {
    u32 label = labels[blockIdx.x];
    u64 at = (u64)blockIdx.x * n;
    float factor = dy[0] / counted, sum = sums[blockIdx.x];
    for (int i = threadIdx.x; i < n; i += THREADS) {
        float hit = (u32)i == label ? factor : 0.0f;
        dlogits[at + i] = label == IGNORE ? 0.0f : expf(logits[at + i] - sum) * factor - hit;
    }
}
