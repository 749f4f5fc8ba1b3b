// y = factor x, n values.
extern "C" __global__ void scale(const float *x, float *y, float factor, u64 n) {
    for (u64 i = first(); i < n; i += stride()) y[i] = factor * x[i];
}
