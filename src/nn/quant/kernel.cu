// NF4, and back: see nf4.cuh for the format.

// Eight values to an aligned place.
__device__ __forceinline__ void put_eight(const float (&x)[8], float *out) {
    ((Four *)out)[0] = {x[0], x[1], x[2], x[3]};
    ((Four *)out)[1] = {x[4], x[5], x[6], x[7]};
}
__device__ __forceinline__ void put_eight(const float (&x)[8], u16 *out) {
    *(FourWords *)out = {two_bf16(x[0], x[1]), two_bf16(x[2], x[3]), two_bf16(x[4], x[5]), two_bf16(x[6], x[7])};
}

// The values of eight codes, times a scale.
__device__ __forceinline__ void eight_values(u32 codes, const float *values, float scale, float (&out)[8]) {
#pragma unroll
    for (int i = 0; i < 8; i++) out[i] = values[(codes >> (8 * (i / 2) + (i % 2 ? 0 : 4))) & 15] * scale;
}

template <typename T>
__device__ __forceinline__ void dequantize(const u8 *codes, const u8 *absmax, const float *nested, const float *map,
                                           float offset, u64 at, u64 n, T *out) {
    __shared__ float table[NESTED_CODES + 16];
    for (int i = threadIdx.x; i < NESTED_CODES + 16; i += THREADS) table[i] = map[i];
    __syncthreads();
    const float *values = table + NESTED_CODES;
    u64 done = at % 8 == 0 ? n / 8 * 8 : 0; // eight at once: 4 aligned bytes, all of one block
    for (u64 i = 8 * first(); i < done; i += 8 * stride()) {
        float x[8];
        eight_values(*(const u32 *)(codes + (at + i) / 2), values, scale_of(absmax, nested, table, offset, (at + i) / BLOCK), x);
        put_eight(x, out + i);
    }
    for (u64 i = done + first(); i < n; i += stride()) {
        u64 place = at + i;
        u8 byte = codes[place / 2];
        int code = place % 2 ? byte & 15 : byte >> 4;
        out[i] = store(values[code] * scale_of(absmax, nested, table, offset, place / BLOCK), T());
    }
}

// The n values from index `at` on.
extern "C" __global__ void nf4_dequantize_f32(const u8 *codes, const u8 *absmax, const float *nested, const float *map,
                                              float offset, u64 at, u64 n, float *out) {
    dequantize(codes, absmax, nested, map, offset, at, n, out);
}

extern "C" __global__ void nf4_dequantize_bf16(const u8 *codes, const u8 *absmax, const float *nested, const float *map,
                                               float offset, u64 at, u64 n, u16 *out) {
    dequantize(codes, absmax, nested, map, offset, at, n, out);
}

// From f32: codes, and the scale of each block before it is quantised itself. A warp takes a block; each lane two values.
// `thresholds` are the 15 middles of the map. The last block may be short, and bitsandbytes divides there.
extern "C" __global__ void nf4_quantize(const float *weights, const float *thresholds, u8 *codes, float *scales, u64 n) {
    const float smallest = 1e-38f;
    int lane = threadIdx.x % 32;
    u64 blocks = (n + BLOCK - 1) / BLOCK;
    for (u64 block = first() / 32; block < blocks; block += stride() / 32) {
        u64 at = block * BLOCK + 2 * lane;
        float x[2];
        for (int i = 0; i < 2; i++) x[i] = at + i < n ? weights[at + i] : 0.0f;
        float largest = warp_max(fmaxf(fabsf(x[0]), fabsf(x[1])));
        bool whole = (block + 1) * BLOCK <= n;
        float scale = whole ? largest : fmaxf(largest, smallest);
        float inverse = __fdiv_rn(1.0f, fmaxf(largest, smallest));
        int code[2] = {0, 0};
        for (int i = 0; i < 2; i++) {
            float value = whole ? __fmul_rn(x[i], inverse) : __fdiv_rn(x[i], scale);
            for (int k = 0; k < 15; k++) code[i] += value > thresholds[k];
        }
        if (at < n) codes[at / 2] = (u8)(code[0] << 4 | code[1]);
        if (lane == 0) scales[block] = scale;
    }
}

// Few rows times a weight in 4 bits, dequantised on its way through the registers: x (rows, wide) -> y (rows, out). A
// warp makes one output of up to R rows; `rows` is at most R.
template <int R>
__device__ __forceinline__ void gemv(const u8 *codes, const u8 *absmax, const float *nested, const float *map,
                                         float offset, const float *x, float *y, int rows, int out, int wide) {
    __shared__ float table[NESTED_CODES + 16];
    for (int i = threadIdx.x; i < NESTED_CODES + 16; i += THREADS) table[i] = map[i];
    __syncthreads();
    const float *values = table + NESTED_CODES;
    int lane = threadIdx.x % 32;
    int o = blockIdx.x * WARPS + threadIdx.x / 32;
    if (o >= out) return;
    u64 begin = (u64)o * wide;
    const float *row[R];
    float sums[R];
    for (int r = 0; r < R; r++) {
        row[r] = x + (u64)min(r, rows - 1) * wide;
        sums[r] = 0.0f;
    }
    if (wide % 8 == 0) { // eight codes a lane: 4 aligned bytes, all of one block
        for (int j = 8 * lane; j < wide; j += 256) {
            u32 eight = *(const u32 *)(codes + (begin + j) / 2);
            float scale = scale_of(absmax, nested, table, offset, (begin + j) / BLOCK);
            float part[R];
            for (int r = 0; r < R; r++) part[r] = 0.0f;
#pragma unroll
            for (int i = 0; i < 8; i++) {
                float value = values[(eight >> (8 * (i / 2) + (i % 2 ? 0 : 4))) & 15];
                for (int r = 0; r < R; r++) part[r] += value * row[r][j + i];
            }
            for (int r = 0; r < R; r++) sums[r] += part[r] * scale;
        }
    } else {
        for (int j = lane; j < wide; j += 32) {
            u64 place = begin + j;
            u8 byte = codes[place / 2];
            float value = values[place % 2 ? byte & 15 : byte >> 4];
            value *= scale_of(absmax, nested, table, offset, place / BLOCK);
            for (int r = 0; r < R; r++) sums[r] += value * row[r][j];
        }
    }
    for (int r = 0; r < R; r++) {
        float sum = warp_sum(sums[r]);
        if (lane == 0 && r < rows) y[(u64)r * out + o] = sum;
    }
}

#define FEW_ROWS(R)                                                                                                      \
    extern "C" __global__ void nf4_gemv_##R(const u8 *codes, const u8 *absmax, const float *nested,                  \
                                                const float *map, float offset, const float *x, float *y, int rows,      \
                                                int out, int wide) {                                                     \
        gemv<R>(codes, absmax, nested, map, offset, x, y, rows, out, wide);                                          \
    }

FEW_ROWS(1)
FEW_ROWS(2)
FEW_ROWS(4)
FEW_ROWS(8)
