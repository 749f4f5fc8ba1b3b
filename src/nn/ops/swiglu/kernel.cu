// SwiGLU, element by element. Arguments: inputs of n values, outputs of n values, n.

extern "C" __global__ void swiglu_forward(const float *gate, const float *up, float *out, u64 n) {
    for (u64 i = first(); i < n; i += stride()) {
        float g = gate[i];
        out[i] = g / (1.0f + expf(-g)) * up[i];
    }
}

extern "C" __global__ void swiglu_backward(const float *gate, const float *up, const float *dy, float *dgate, float *dup,
                                           u64 n) {
    for (u64 i = first(); i < n; i += stride()) {
        float g = gate[i], d = dy[i];
        float sigma = 1.0f / (1.0f + expf(-g));
        float silu = g * sigma;
        dup[i] = d * silu;
        dgate[i] = d * up[i] * (sigma + silu * (1.0f - sigma));
    }
}
