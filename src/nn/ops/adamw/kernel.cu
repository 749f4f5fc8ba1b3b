// AdamW, sums of squares and scaling, of many tensors in one launch: each block takes a piece of one of them.

// A piece of a parameter with its gradient and moments, and the numbers of the step.
struct Piece {
    float *p;
    const float *g;
    float *m, *v;
    u64 n;
    float shrink, toward, beta, fresh, root, eps, step;
};

// The operations are rounded one by one, as on the CPU: no fused multiply-add.
extern "C" __global__ void adamw_update(const Piece *pieces) {
    Piece x = pieces[blockIdx.x];
    for (u64 i = threadIdx.x; i < x.n; i += THREADS) {
        float d = x.g[i];
        float a = __fadd_rn(x.m[i], __fmul_rn(__fsub_rn(d, x.m[i]), x.toward));
        float b = __fadd_rn(__fmul_rn(x.v[i], x.beta), __fmul_rn(__fmul_rn(x.fresh, d), d));
        float below = __fadd_rn(__fdiv_rn(__fsqrt_rn(b), x.root), x.eps);
        x.m[i] = a;
        x.v[i] = b;
        x.p[i] = __fadd_rn(__fmul_rn(x.p[i], x.shrink), __fdiv_rn(__fmul_rn(x.step, a), below));
    }
}

struct Part {
    float *x;
    u64 n;
};

// Sums of squares in f64, one a part, which the host adds.
extern "C" __global__ void square_sums(const Part *parts, double *sums) {
    __shared__ double partial_sums[WARPS];
    Part part = parts[blockIdx.x];
    double total = 0.0;
    for (u64 i = threadIdx.x; i < part.n; i += THREADS) total += (double)part.x[i] * (double)part.x[i];
    total = block_sum(total, partial_sums);
    if (threadIdx.x == 0) sums[blockIdx.x] = total;
}

extern "C" __global__ void scale_parts(const Part *parts, float factor) {
    Part part = parts[blockIdx.x];
    for (u64 i = threadIdx.x; i < part.n; i += THREADS) part.x[i] *= factor;
}

// Moments in 8 bits, a block of 256 values a thread block: out of their codes, a step, back to the nearest codes. `maps`
// holds the values of the signed map (first moment) and of the unsigned one, in rising order, 256 each; a negative first
// moment never gets the code of 0. Rounded as on the CPU.

__device__ __forceinline__ u8 nearest(const float *map, float x) {
    int low = 0, high = 255; // the number of middles below x
    while (low < high) {
        int at = (low + high) / 2;
        if (__fdiv_rn(__fadd_rn(map[at], map[at + 1]), 2.0f) < x) low = at + 1;
        else high = at;
    }
    return (u8)low;
}

__device__ __forceinline__ u8 put_back(const float *map, float x, float absmax, int zero) {
    int code = absmax == 0.0f ? zero : nearest(map, __fdiv_rn(x, absmax));
    return (u8)(x < 0.0f && code == zero ? code - 1 : code);
}

extern "C" __global__ void adamw_update_8(float *p, const float *g, u8 *codes1, float *absmax1, u8 *codes2, float *absmax2,
                                          const float *maps, u64 n, int zero1, int zero2, float beta1, float beta2,
                                          float step, float eps, float shrink) {
    __shared__ float table[512], partial_sums[WARPS];
    for (int i = threadIdx.x; i < 512; i += THREADS) table[i] = maps[i];
    __syncthreads();
    u64 i = (u64)blockIdx.x * 256 + threadIdx.x;
    bool there = i < n;
    float m = 0.0f, v = 0.0f;
    if (there) {
        float d = g[i];
        m = __fmul_rn(table[codes1[i]], absmax1[blockIdx.x]);
        v = __fmul_rn(table[256 + codes2[i]], absmax2[blockIdx.x]);
        m = __fadd_rn(__fmul_rn(m, beta1), __fmul_rn(__fsub_rn(1.0f, beta1), d));
        v = __fadd_rn(__fmul_rn(v, beta2), __fmul_rn(__fmul_rn(__fsub_rn(1.0f, beta2), d), d));
        float move = __fmul_rn(step, __fdiv_rn(m, __fadd_rn(__fsqrt_rn(v), eps)));
        p[i] = __fmul_rn(__fadd_rn(p[i], move), shrink);
    }
    float most1 = block_max(fabsf(m), partial_sums), most2 = block_max(fabsf(v), partial_sums); // all old scales have been read here
    if (there) {
        codes1[i] = put_back(table, m, most1, zero1);
        codes2[i] = put_back(table + 256, v, most2, zero2);
    }
    if (threadIdx.x == 0) {
        absmax1[blockIdx.x] = most1;
        absmax2[blockIdx.x] = most2;
    }
}
