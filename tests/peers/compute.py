#!/usr/bin/env python3
"""Training of PyTorch + transformers + peft + bitsandbytes and of Étude in turn, on the same weights, adapters
and rows; the first ten losses must agree to 1e-3 (f32), and the ratios are printed.

  python3 -m venv venv && venv/bin/pip install torch==2.15.0 transformers==5.23.0 peft==0.21.2 bitsandbytes==0.50.2
  cargo build --release
  LD_PRELOAD=libtcmalloc_minimal.so.4 venv/bin/python tests/peers/compute.py [--config tiny] [--compile] [--device cuda]

The preload (Debian: libtcmalloc-minimal4) makes PyTorch faster, so a fair run has it. Nothing else may run meanwhile: with
another busy process PyTorch's threads wait for each other. Losses are compared after ten steps of AdamW at 1e-3. On a GPU
the memory is that of tensors.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
ETUDE = os.environ.get("ETUDE", str(ROOT / "target/release/etude"))
SHAPES = {
    "tiny": dict(hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024, rows=4, width=512),
    "small": dict(hidden_size=512, num_hidden_layers=6, num_attention_heads=8, intermediate_size=2048, rows=2, width=1024),
    "base150m": dict(hidden_size=1024, num_hidden_layers=12, num_attention_heads=16, intermediate_size=2816, rows=1, width=2048),
}
LOSSES = 10


def motif(shape):
    """The rows of scripts/bench.rhai."""
    return [[3 + (31 * (t % 64) ** 2 + 17 * (t % 64) + 7 * row) % 509 for t in range(shape["width"])]
            for row in range(shape["rows"])]


def make(folder, shape):
    """A model with fresh weights and an adapter whose B is zero, both on disk."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    keys = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    config = LlamaConfig(vocab_size=512, max_position_embeddings=4096, tie_word_embeddings=False,
                         num_key_value_heads=shape["num_attention_heads"], **{k: shape[k] for k in keys})
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder / "model")
    lora = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")
    get_peft_model(model, lora).save_pretrained(folder / "adapter")


def rounded_as_on_cpu(model, plain):
    """Gives 4-bit layers the codes and scales that bitsandbytes finds on the CPU, which Étude's are to the bit. Its GPU kernel
    rounds one scale of 600 otherwise, and after ten steps of a 155 M model that alone is 1e-3 of a loss."""
    import bitsandbytes as bnb

    for name, layer in model.named_modules():
        if isinstance(layer, bnb.nn.Linear4bit):
            codes, state = bnb.functional.quantize_4bit(plain.get_submodule(name).weight.data, blocksize=64,
                                                        compress_statistics=True, quant_type="nf4")
            own = layer.weight.quant_state
            for to, value in ((layer.weight.data, codes), (own.absmax, state.absmax), (own.offset, state.offset),
                              (own.state2.absmax, state.state2.absmax)):
                to.copy_(value.reshape(to.shape))


def peer(folder, shape, method, precision, steps, warmup, compiled, device):
    """The same steps with PyTorch, in this process."""
    import torch
    from peft import PeftModel, prepare_model_for_kbit_training
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    extra, half = {}, precision == "bf16"
    if method == "qlora":
        extra = dict(device_map=device, quantization_config=BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16 if half else torch.float32))
    model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32, **extra)
    model = model.to(device)
    if method == "qlora" and device != "cpu":
        rounded_as_on_cpu(model, AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32))
    model.config.use_cache = False
    if method == "qlora":
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    if method != "full":
        model = PeftModel.from_pretrained(model, folder / "adapter", is_trainable=True)
    model.train()
    if compiled:
        model = torch.compile(model)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-3, weight_decay=0.01, fused=True)
    ids = torch.tensor(motif(shape), device=device)
    losses, times = [], []
    for _ in range(warmup + steps):
        begun = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled=half):
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        times.append(time.perf_counter() - begun)
    status = pathlib.Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024 if device == "cpu" else torch.cuda.max_memory_allocated()
    return dict(tokens_per_second=ids.numel() / statistics.median(times[warmup:]), losses=losses, peak_memory=peak)


def child(args):
    """One measurement in a process of its own; its last line is JSON."""
    done = subprocess.run(args, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        sys.exit(f"{' '.join(map(str, args))} failed:\n{done.stderr[-2000:]}")
    return json.loads(lines[-1])


def ours(folder, name, method, precision, steps, warmup, device):
    return child([ETUDE, "bench", "--config", name, "--method", method, "--mixed_precision", precision, "--decode", "none",
                  "--steps", str(steps), "--warmup", str(warmup), "--checkpoint", folder / "model",
                  "--adapter", folder / "adapter", "--device", device, "--json"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", choices=SHAPES, default="tiny")
    parser.add_argument("--methods", default="qlora,lora,full")
    parser.add_argument("--precisions", default="no,bf16")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2, help="each side is measured so often, in turn")
    parser.add_argument("--compile", action="store_true", help="torch.compile the peer's model; needs a C++ compiler")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--peer", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    shape = SHAPES[args.config]
    if args.peer:
        folder, method, precision = args.peer
        print(json.dumps(peer(pathlib.Path(folder), shape, method, precision, args.steps, args.warmup, args.compile,
                              args.device)))
        return
    agreed = True
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        make(folder, shape)
        print("| training | products | Étude, tokens/s | PyTorch, tokens/s | ratio | Étude, MiB | PyTorch, MiB | losses differ by |")
        print("|---|---|---|---|---|---|---|---|", flush=True)
        for method in args.methods.split(","):
            for precision in args.precisions.split(","):
                a, b = [], []
                for _ in range(args.rounds):
                    a.append(ours(folder, args.config, method, precision, args.steps, args.warmup, args.device))
                    b.append(child([sys.executable, __file__, "--config", args.config, "--steps", str(args.steps),
                                    "--warmup", str(args.warmup), "--device", args.device, *["--compile"] * args.compile,
                                    "--peer", folder, method, precision]))
                speed = [statistics.median(r["tokens_per_second"] for r in side) for side in (a, b)]
                peak = [max(r["peak_memory"] for r in side) >> 20 for side in (a, b)]
                pairs = list(zip(a[0]["losses"], b[0]["losses"]))[:LOSSES]
                off = max(abs(x - y) for x, y in pairs)
                agreed &= off <= 1e-3 or precision != "no"
                first = abs(pairs[0][0] - pairs[0][1])
                print(f"| {method} | {precision} | {speed[0]:.0f} | {speed[1]:.0f} | {speed[0] / speed[1]:.2f} | {peak[0]} | "
                      f"{peak[1]} | {first:.1e} at first, {off:.1e} over {len(pairs)} |", flush=True)
    if not agreed:
        sys.exit("the losses in f32 differ by more than 1e-3")


if __name__ == "__main__":
    main()
