// Rotary positions. x and out are (batch, time, heads, dim); angles holds dim / 2 cosines, then dim / 2 sines, a
// position. Position `offset + t` turns by `way` (1 forwards, -1 back). `pairs` is the number of pairs of x.

extern "C" __global__ void rope_rotate(const float *x, const float *angles, float *out, u64 pairs, int time, int heads,
                                     int dim, int offset, float way) {
    int half = dim / 2;
    for (u64 i = first(); i < pairs; i += stride()) {
        int j = (int)(i % half);
        u64 head = i / half;
        int t = (int)(head / heads % time);
        const float *angle = angles + (u64)(offset + t) * dim;
        float c = angle[j], s = angle[half + j] * way;
        u64 at = head * dim + j;
        float a = x[at], b = x[at + half];
        out[at] = a * c - b * s;
        out[at + half] = b * c + a * s;
    }
}
