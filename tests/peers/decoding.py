#!/usr/bin/env python3
"""Sampling of PyTorch and of Étude in turn, from one model: tokens/s of the new tokens of all rows, prompt included.

  python3 -m venv venv && venv/bin/pip install torch==2.15.0 transformers==5.23.0 peft==0.21.2 bitsandbytes==0.50.2
  cargo build --release
  LD_PRELOAD=libtcmalloc_minimal.so.4 venv/bin/python tests/peers/decoding.py [--config tiny] [--rows 1,8] [--compile] [--device cuda]

The peers are transformers' generate and a loop over preallocated keys and values with joint projections, whose logits must be
those of transformers; each in f32, bf16 and with bitsandbytes' 4-bit weights, and the loop compiled with --compile (needs a
C++ compiler; tens of seconds each). The ratio is to the fastest. Nothing else may run meanwhile.
"""
import argparse
import json
import pathlib
import statistics
import sys
import tempfile
import time

from compute import ETUDE, SHAPES, child, make

PROMPT, NEW = 16, 512
TEMPERATURE, TOP_P = 0.9, 0.95
THETA = 10000.0


def draw(logits):
    """One id a row: top-p after temperature."""
    import torch

    shares, ids = torch.softmax(logits.float() / TEMPERATURE, -1).sort(-1, descending=True)
    before = shares.cumsum(-1) - shares
    return ids.gather(-1, torch.multinomial(torch.where(before < TOP_P, shares, 0.0), 1))


class Loop:
    """The decoder of transformers, one position at a time; a compiled one always looks at all places, masked."""

    def __init__(self, model, rows, kind, compiled, device):
        import torch
        from torch import nn

        def linear(*layers):
            weight = torch.cat([layer.weight.data for layer in layers])
            if kind != "nf4":
                joint = nn.Linear(*weight.shape[::-1], bias=False, dtype=weight.dtype)
                joint.weight = nn.Parameter(weight, requires_grad=False)
                return joint
            import bitsandbytes as bnb
            joint = bnb.nn.Linear4bit(*weight.shape[::-1], bias=False, compute_dtype=torch.bfloat16, quant_type="nf4")
            joint.weight = bnb.nn.Params4bit(weight, requires_grad=False, quant_type="nf4", module=joint)
            return joint.to(device).eval()

        config, body = model.config, model.model
        self.heads, self.eps = config.num_attention_heads, config.rms_norm_eps
        self.width, self.length = config.hidden_size // self.heads, PROMPT + NEW
        self.embedding, self.head, self.norm, self.compiled = body.embed_tokens, model.lm_head, body.norm.weight, compiled
        dtype = self.embedding.weight.dtype
        speed = THETA ** -(torch.arange(0, self.width, 2) / self.width)
        angles = torch.outer(torch.arange(self.length).float(), speed).repeat(1, 2)
        self.cos, self.sin = angles.cos().to(device, dtype), angles.sin().to(device, dtype)
        self.past = torch.ones(self.length, self.length, dtype=torch.bool, device=device).tril()
        room = lambda: torch.zeros(rows, self.heads, self.length, self.width, dtype=dtype, device=device)
        self.layers = [(layer.input_layernorm.weight, layer.post_attention_layernorm.weight,
                        linear(layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj),
                        linear(layer.self_attn.o_proj), linear(layer.mlp.gate_proj, layer.mlp.up_proj),
                        linear(layer.mlp.down_proj), room(), room()) for layer in body.layers]

    def __call__(self, ids, places, seen):
        """Logits after ids (rows, time) at `places`; `seen` is the number of positions then, 0 for all that there is room for."""
        import torch
        import torch.nn.functional as F

        rows, time_ = ids.shape
        x, cos, sin = self.embedding(ids), self.cos[places], self.sin[places]
        half = self.width // 2
        turn = lambda x: x * cos + torch.cat((-x[..., half:], x[..., :half]), -1) * sin
        norm = lambda x, weight: F.rms_norm(x, x.shape[-1:], weight, self.eps)
        end = seen or self.length
        mask = None if seen and time_ == 1 else self.past[places, :end]
        for before, after, qkv, out, gate_up, down, keys, values in self.layers:
            q, k, v = qkv(norm(x, before)).view(rows, time_, 3, self.heads, self.width).permute(2, 0, 3, 1, 4)
            keys.index_copy_(2, places, turn(k))
            values.index_copy_(2, places, v)
            y = F.scaled_dot_product_attention(turn(q), keys[:, :, :end], values[:, :, :end], attn_mask=mask)
            x = x + out(y.transpose(1, 2).reshape(rows, time_, -1))
            gate, up = gate_up(norm(x, after)).chunk(2, -1)
            x = x + down(F.silu(gate) * up)
        return self.head(norm(x[:, -1], self.norm))


def peer(folder, way, kind, rows, runs, device):
    """Runs of one way in this process."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    torch.manual_seed(0)
    extra, dtype = {}, torch.float32 if kind == "f32" else torch.bfloat16
    if (way, kind) == ("generate", "nf4"):
        extra = dict(device_map=device, quantization_config=BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16))
    model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=dtype, **extra).to(device).eval()
    prompt = torch.randint(3, 512, (rows, PROMPT), device=device)
    places = torch.arange(PROMPT + NEW, device=device)

    def generate():
        model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=NEW, min_new_tokens=NEW,
                       do_sample=True, temperature=TEMPERATURE, top_p=TOP_P, top_k=0, pad_token_id=0)

    with torch.inference_mode():
        run = generate
        if way != "generate":
            loop = Loop(model, rows, kind, way == "compiled", device)
            step = loop
            if way == "compiled" and device == "cuda":
                step = torch.compile(loop.__call__, dynamic=False, mode="reduce-overhead")
            elif way == "compiled":
                import torch._inductor.config
                torch._inductor.config.freezing = True
                step = torch.compile(loop.__call__, dynamic=False)
            seen = (lambda at: 0) if way == "compiled" else (lambda at: at + 1)

            def run():
                ids = draw(loop(prompt, places[:PROMPT], PROMPT))
                for at in range(PROMPT, PROMPT + NEW - 1):
                    ids = draw(step(ids, places[at : at + 1], seen(at)))
                ids.cpu()

            off = (loop(prompt, places[:PROMPT], PROMPT).float() - model(prompt).logits[:, -1].float()).abs().max().item()
            if off > {"f32": 1e-3, "bf16": 0.1, "nf4": 1.0}[kind]:
                sys.exit(f"the loop's logits are not those of transformers: {off}")
        run()
        times = []
        for _ in range(runs):
            begun = time.perf_counter()
            run()
            times.append(time.perf_counter() - begun)
    return dict(tokens_per_second=rows * NEW / statistics.median(times))


def ours(folder, config, rows, runs, cache, device):
    return child([ETUDE, "bench", "--config", config, "--method", "none", "--mixed_precision", "bf16", "--decode", str(rows),
                  "--tokens", str(NEW), "--runs", str(runs), "--kv_cache_dtype", cache, "--checkpoint", folder / "model",
                  "--device", device, "--json"])["tokens_per_second"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", choices=SHAPES, default="tiny")
    parser.add_argument("--rows", default="1,8")
    parser.add_argument("--kinds", default="f32,bf16,nf4")
    parser.add_argument("--ways", default="generate,loop")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="the compiled loop, too")
    parser.add_argument("--kv_cache_dtype", default="auto", help="Étude's: auto (bf16) or int8")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--peer", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        folder, way, kind, rows = args.peer
        print(json.dumps(peer(pathlib.Path(folder), way, kind, int(rows), args.runs, args.device)))
        return
    ways = [(way, kind) for way in args.ways.split(",") for kind in args.kinds.split(",")]
    if args.compile:
        ways += [("compiled", kind) for kind in args.kinds.split(",") if args.device == "cuda" or kind != "nf4"]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        make(folder, SHAPES[args.config])
        print("| rows | PyTorch | tokens/s | Étude, before and after | ratio |\n|---|---|---|---|---|", flush=True)
        for rows in map(int, args.rows.split(",")):
            best, all_ours = 0.0, []
            for way, kind in ways:
                before = ours(folder, args.config, rows, args.runs, args.kv_cache_dtype, args.device)
                theirs = child([sys.executable, __file__, "--runs", str(args.runs), "--device", args.device,
                                "--peer", folder, way, kind, str(rows)])["tokens_per_second"]
                after = ours(folder, args.config, rows, args.runs, args.kv_cache_dtype, args.device)
                best, all_ours = max(best, theirs), all_ours + [before, after]
                print(f"| {rows} | {way}, {kind} | {theirs:.0f} | {before:.0f}, {after:.0f} | {(before + after) / 2 / theirs:.2f} |",
                      flush=True)
            print(f"| {rows} | the fastest | {best:.0f} | {statistics.median(all_ours):.0f} | "
                  f"**{statistics.median(all_ours) / best:.2f}** |", flush=True)


if __name__ == "__main__":
    main()
