// y = x m / n, a factor for each column; count values in rows of the given width.
extern "C" __global__ void scale_columns(const float *x, const float *m, const float *n, float *y, u64 count, u64 width) {
    for (u64 i = first(); i < count; i += stride()) y[i] = x[i] * (m[i % width] / n[i % width]);
}
