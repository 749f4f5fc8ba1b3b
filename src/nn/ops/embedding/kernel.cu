// Rows of a table by id. An id beyond the table gives NaN: to refuse it, the host would have to wait for the device.

// ids (count), table (rows, hidden) -> out (count, hidden).
extern "C" __global__ void embedding_gather(const u32 *ids, const float *table, float *out, u64 count, int rows,
                                            int hidden) {
    for (u64 i = first(); i < count * hidden; i += stride()) {
        u32 id = ids[i / hidden];
        out[i] = id < (u32)rows ? table[(u64)id * hidden + i % hidden] : __uint_as_float(0x7fc00000u);
    }
}

// dy (count, hidden) added to the rows of out (rows, hidden) that were used, in the order of the ids. A block owns one
// row of the table and looks for its id, so nothing is added at the same time and no sum depends on luck.
extern "C" __global__ void embedding_scatter(const u32 *ids, const float *dy, float *out, int count, int hidden) {
    __shared__ u32 seen[THREADS];
    u32 mine = blockIdx.x;
    float *row = out + (u64)mine * hidden;
    for (int j = threadIdx.x; j < hidden; j += THREADS) row[j] = 0.0f;
    for (int begin = 0; begin < count; begin += THREADS) {
        int i = begin + threadIdx.x;
        u32 id = i < count ? ids[i] : 0xffffffffu;
        seen[threadIdx.x] = id;
        if (!__syncthreads_or(id == mine)) continue;
        for (int k = 0; k < THREADS; k++) {
            if (seen[k] != mine) continue;
            const float *from = dy + (u64)(begin + k) * hidden;
            for (int j = threadIdx.x; j < hidden; j += THREADS) row[j] += from[j];
        }
        __syncthreads();
    }
}
