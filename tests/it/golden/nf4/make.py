"""Makes nf4.safetensors: what bitsandbytes 0.50.2 (torch 2.15.0, CPU, one thread) makes of weights that
tests/it/golden_nf4.rs makes again by the same integer formula.

    pip install torch==2.15.0 bitsandbytes==0.50.2 safetensors && python make.py

One thread, because torch cuts the mean of more than 32,768 scales by the number of threads.
"""

import hashlib
import os

import bitsandbytes.functional as F
import numpy as np
import torch
from safetensors.numpy import save_file

torch.set_num_threads(1)
f32 = np.float32


def uniform(n, seed):
    """n numbers in [0, 1) of 24 bits: exact in f32, and the same in every language."""
    x = np.arange(n, dtype=np.uint32) * np.uint32(2654435761) + np.uint32(seed * 40503)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    x = x ^ (x >> np.uint32(16))
    return (x >> np.uint32(8)).astype(f32) * f32(2.0**-24)


def weights(kind, n, seed):
    u = uniform(n, seed)
    if kind == "zeros":
        return np.zeros(n, f32)
    if kind == "constant":
        return np.full(n, 0.25, f32)
    if kind == "flat":  # every value of a block the same, blocks differ
        return uniform(n // 64 + 1, seed).repeat(64)[:n]
    if kind == "spread":  # heavy in the middle, rare outliers, blocks of very different scale
        v, w = uniform(n, seed + 1), uniform(n // 64 + 1, seed + 2).repeat(64)[:n]
        return (u - f32(0.5)) * v * w * w
    if kind == "holes":  # whole blocks of zeros between others
        v = uniform(n // 64 + 1, seed + 1).repeat(64)[:n]
        return np.where(v < f32(0.3), f32(0), u - f32(0.5))
    if kind == "ties":  # values on the thresholds and on the codes themselves
        code = F.get_4bit_type("nf4", "cpu").numpy()
        points = np.concatenate([code, (code[1:] + code[:-1]) / f32(2)])
        x = points[(u * f32(31)).astype(np.int64)]
        x[::64] = 1.0
        return x.astype(f32)
    if kind == "tiny":  # subnormal scales
        return (u - f32(0.5)) * f32(1e-38)
    return u - f32(0.5)


CASES = [
    ("one", "plain", (1, 1), 1),
    ("odd", "plain", (3, 5), 2),
    ("below_a_block", "plain", (7, 9), 3),
    ("one_block", "plain", (8, 8), 4),
    ("a_block_and_one", "plain", (5, 13), 5),
    ("odd_rows", "spread", (33, 65), 6),
    ("many", "spread", (130, 128), 7),
    ("beyond_a_nested_block", "spread", (257, 64), 8),
    ("beyond_two_nested_blocks", "spread", (515, 67), 9),
    ("large", "plain", (832, 320), 10),
    ("large_mean", "spread", (1031, 257), 16),
    ("zeros", "zeros", (9, 30), 11),
    ("zeros_whole", "zeros", (4, 64), 11),
    ("constant", "constant", (10, 64), 12),
    ("flat", "flat", (40, 64), 13),
    ("holes", "holes", (50, 70), 14),
    ("ties", "ties", (20, 64), 15),
    ("tiny", "tiny", (6, 64), 17),
    ("tiny_rest", "tiny", (6, 63), 17),
]


def checksum(x):
    x = x.reshape(-1)
    bits = (x if x.dtype == np.uint8 else x.view(np.uint32)).astype(np.uint64)
    return (bits * (2 * np.arange(len(bits), dtype=np.uint64) + 1)).sum()


def main():
    nested = F.create_dynamic_map()
    digest = hashlib.sha256(nested.numpy().tobytes()).hexdigest()
    out = {"nested_quant_map": nested.numpy(), "quant_map": F.get_4bit_type("nf4", "cpu").numpy()}
    info = {"nested_quant_map_sha256": digest, "cases": " ".join(c[0] for c in CASES)}
    for name, kind, shape, seed in CASES:
        w = weights(kind, shape[0] * shape[1], seed)
        q, state = F.quantize_4bit(torch.from_numpy(w.reshape(shape)), compress_statistics=True, quant_type="nf4")
        codes = q.numpy().reshape(-1)
        if len(codes) < 10_000:
            out[f"{name}.codes"] = codes
        out[f"{name}.absmax"] = state.absmax.numpy()
        out[f"{name}.nested_absmax"] = state.state2.absmax.numpy()
        out[f"{name}.nested_offset"] = state.offset.numpy().reshape(1)
        restored = F.dequantize_4bit(q, state).numpy()
        info[name] = f"{kind} {shape[0]} {shape[1]} {seed} {checksum(w)} {checksum(codes)} {checksum(restored)}"
    here = os.path.dirname(os.path.abspath(__file__))
    save_file(out, os.path.join(here, "nf4.safetensors"), metadata=info)
    print(digest, os.path.getsize(os.path.join(here, "nf4.safetensors")))


main()
