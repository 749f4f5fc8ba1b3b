#!/usr/bin/env python3
"""Quantising to NF4 and back with bitsandbytes and with Étude in turn: GB/s of the f32 matrix, scales quantised, too.

  python3 -m venv venv && venv/bin/pip install torch==2.15.0 bitsandbytes==0.50.2
  cargo build --release
  LD_PRELOAD=libtcmalloc_minimal.so.4 venv/bin/python tests/peers/nf4.py [--sizes 1024,2048,4096]

The preload (Debian: libtcmalloc-minimal4) gives PyTorch its memory back sooner. Nothing else may run meanwhile.
"""
import argparse
import json
import statistics
import sys
import time

from compute import ETUDE, child

PARTS = "quantize", "dequantize"


def peer(size, runs):
    """Rates of bitsandbytes in this process."""
    import bitsandbytes.functional as F
    import torch

    weights = torch.sin((torch.arange(size * size) % 100003) * 0.618).reshape(size, size)
    times = {part: [] for part in PARTS}
    for _ in range(runs + 1):
        begun = time.perf_counter()
        codes, state = F.quantize_4bit(weights, blocksize=64, compress_statistics=True, quant_type="nf4")
        middle = time.perf_counter()
        back = F.dequantize_4bit(codes, state)
        times["dequantize"].append(time.perf_counter() - middle)
        times["quantize"].append(middle - begun)
        del back
    return {part: weights.nbytes / statistics.median(times[part][1:]) for part in PARTS}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1024,2048,4096")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=3, help="each side is measured so often, in turn")
    parser.add_argument("--peer", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        print(json.dumps(peer(args.peer, args.runs)))
        return
    print("| matrix | | Étude, GB/s | bitsandbytes | ratio |\n|---|---|---|---|---|", flush=True)
    for size in map(int, args.sizes.split(",")):
        ours, theirs = [], []
        for _ in range(args.rounds):
            ours.append(child([ETUDE, "bench", "--nf4", str(size), "--runs", str(args.runs), "--method", "none",
                               "--decode", "none", "--json"]))
            theirs.append(child([sys.executable, __file__, "--runs", str(args.runs), "--peer", str(size)]))
        for part in PARTS:
            a, b = (statistics.median(run[part] for run in side) / 1e9 for side in (ours, theirs))
            print(f"| {size} × {size} | {part} | {a:.2f} | {b:.2f} | **{a / b:.1f}** |", flush=True)


if __name__ == "__main__":
    main()
