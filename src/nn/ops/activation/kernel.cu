// Activations f(x) = x s(x), element by element, plain and gated. Arguments: inputs of n values, outputs of n values, n.

// s(x), and the slope of x s(x).
struct Share {
    float value, slope;
};

__device__ __forceinline__ Share relu_share(float x) {
    float value = x > 0.0f ? 1.0f : 0.0f;
    return {value, value};
}

__device__ __forceinline__ Share silu_share(float x) {
    float value = 1.0f / (1.0f + expf(-x));
    return {value, value + x * value * (1.0f - value)};
}

// The normal distribution, by erfc, which keeps its digits where it is small.
__device__ __forceinline__ Share gelu_share(float x) {
    x = fminf(fmaxf(x, -20.0f), 20.0f); // beyond, it is 0 or 1, and x² may overflow
    float value = 0.5f * erfcf(-0.707106781f * x);
    return {value, value + x * 0.398942280f * expf(-0.5f * x * x)};
}

// σ(2u), u = √(2/π) (x + 0.044715 x³)
__device__ __forceinline__ Share gelu_tanh_share(float x) {
    const float root = 1.595769122f; // 2 √(2/π)
    x = fminf(fmaxf(x, -20.0f), 20.0f); // beyond, σ is 0 or 1, and x³ may overflow
    float value = 1.0f / (1.0f + expf(-root * x * (1.0f + 0.044715f * x * x)));
    return {value, value + x * value * (1.0f - value) * root * (1.0f + 3.0f * 0.044715f * x * x)};
}

#define ACTIVATION(KIND)                                                                                                 \
    extern "C" __global__ void forward_##KIND(const float *x, float *out, u64 n) {                                       \
        for (u64 i = first(); i < n; i += stride()) out[i] = x[i] * KIND##_share(x[i]).value;                            \
    }                                                                                                                    \
    extern "C" __global__ void backward_##KIND(const float *x, const float *dy, float *dx, u64 n) {                      \
        for (u64 i = first(); i < n; i += stride()) dx[i] = dy[i] * KIND##_share(x[i]).slope;                            \
    }                                                                                                                    \
    extern "C" __global__ void gated_forward_##KIND(const float *gate, const float *up, float *out, u64 n) {             \
        for (u64 i = first(); i < n; i += stride()) {                                                                    \
            float g = gate[i];                                                                                           \
            out[i] = g * KIND##_share(g).value * up[i];                                                                  \
        }                                                                                                                \
    }                                                                                                                    \
    extern "C" __global__ void gated_backward_##KIND(const float *gate, const float *up, const float *dy, float *dgate,  \
                                                     float *dup, u64 n) {                                                \
        for (u64 i = first(); i < n; i += stride()) {                                                                    \
            float g = gate[i], d = dy[i];                                                                                \
            Share share = KIND##_share(g);                                                                               \
            dup[i] = d * g * share.value;                                                                                \
            dgate[i] = d * up[i] * share.slope;                                                                          \
        }                                                                                                                \
    }

ACTIVATION(relu)
ACTIVATION(silu)
ACTIVATION(gelu)
ACTIVATION(gelu_tanh)
