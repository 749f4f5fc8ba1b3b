// x += y, n values each.
extern "C" __global__ void add_to(float *x, const float *y, u64 n) {
    for (u64 i = first(); i < n; i += stride()) x[i] += y[i];
}
