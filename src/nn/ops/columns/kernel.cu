// Columns of a row-major matrix and the gradient, which is 0 elsewhere. Columns `begin..begin + taken` of `width`; n is the
// number of outputs.

extern "C" __global__ void columns_take(const float *x, float *out, u64 begin, u64 taken, u64 width, u64 n) {
    for (u64 i = first(); i < n; i += stride()) out[i] = x[i / taken * width + begin + i % taken];
}

extern "C" __global__ void columns_put(const float *dy, float *dx, u64 begin, u64 taken, u64 width, u64 n) {
    for (u64 i = first(); i < n; i += stride()) {
        u64 row = i / width, column = i % width;
        dx[i] = column >= begin && column < begin + taken ? dy[row * taken + column - begin] : 0.0f;
    }
}
