// The kernels of candle that this project's GPU paths call, for the emulator, whose g++ cannot read candle's own PTX. The
// arguments are those of candle-kernels; `info` holds the sizes of the axes, then their distances (per input), or is null.

static size_t place(size_t i, size_t axes, const size_t *sizes, const size_t *distances) {
    if (!sizes) return i;
    size_t at = 0;
    for (size_t axis = axes; axis-- > 0; i /= sizes[axis]) at += i % sizes[axis] * distances[axis];
    return at;
}

#define EACH for (size_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (size_t)blockDim.x * gridDim.x)

template <typename F> void binary(size_t n, size_t axes, const size_t *info, const float *a, const float *b, float *out, F f) {
    EACH out[i] = f(a[place(i, axes, info, info + axes)], b[place(i, axes, info, info + 2 * axes)]);
}

extern "C" __global__ void badd_f32(size_t n, size_t axes, const size_t *info, const float *a, const float *b, float *out) {
    binary(n, axes, info, a, b, out, [](float x, float y) { return x + y; });
}
extern "C" __global__ void bsub_f32(size_t n, size_t axes, const size_t *info, const float *a, const float *b, float *out) {
    binary(n, axes, info, a, b, out, [](float x, float y) { return x - y; });
}
extern "C" __global__ void bmul_f32(size_t n, size_t axes, const size_t *info, const float *a, const float *b, float *out) {
    binary(n, axes, info, a, b, out, [](float x, float y) { return x * y; });
}
extern "C" __global__ void ucopy_f32(size_t n, size_t axes, const size_t *info, const float *x, float *out) {
    EACH out[i] = x[place(i, axes, info, info + axes)];
}
extern "C" __global__ void ucopy_u32(size_t n, size_t axes, const size_t *info, const unsigned *x, unsigned *out) {
    EACH out[i] = x[place(i, axes, info, info + axes)];
}
extern "C" __global__ void affine_f32(size_t n, size_t axes, const size_t *info, const float *x, float *out, float a, float b) {
    EACH out[i] = (x ? x[place(i, axes, info, info + axes)] : out[i]) * a + b;
}
extern "C" __global__ void const_set_f32(size_t n, size_t axes, const size_t *info, float value, float *out) {
    EACH out[place(i, axes, info, info + axes)] = value;
}
extern "C" __global__ void copy2d_f32(const float *from, float *to, unsigned rows, unsigned columns, unsigned from_row,
                                      unsigned to_row) {
    size_t i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < (size_t)rows * columns) to[i / columns * to_row + i % columns] = from[i / columns * from_row + i % columns];
}
// Σ over the last axes; one block a result in candle's launch, of which the first thread does the work here.
extern "C" __global__ void fast_sum_f32(size_t n, size_t each, size_t axes, const size_t *info, const float *x, float *out) {
    if (threadIdx.x) return;
    float sum = 0;
    for (size_t i = blockIdx.x * each; i < std::min((blockIdx.x + 1) * each, n); i++)
        sum += x[place(i, axes, info, info + axes)];
    out[blockIdx.x] = sum;
}
