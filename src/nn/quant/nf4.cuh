// NF4. A weight is `codes` (two a byte, the first in the high nibble), `absmax` (a byte a block of 64), `nested` (a float
// 256 blocks) and `offset`; `map` holds the 256 values of the scales' codes and behind them the 16 values of NF4.

#define BLOCK 64
#define NESTED_BLOCK 256
#define NESTED_CODES 256

// The scale of a block of this code, rounded as on the CPU.
__device__ __forceinline__ float scale_from(u8 code, float nested, const float *map, float offset) {
    return __fadd_rn(__fmul_rn(map[code], nested), offset);
}

__device__ __forceinline__ float scale_of(const u8 *absmax, const float *nested, const float *map, float offset, u64 block) {
    return scale_from(absmax[block], nested[block / NESTED_BLOCK], map, offset);
}
