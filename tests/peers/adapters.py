#!/usr/bin/env python3
"""Compares adapters of every kind with PEFT in both directions, and 20 steps of QLoRA with PEFT on bitsandbytes' weights.

    pip install torch==2.15.0 transformers==5.24.0 peft==0.21.2 bitsandbytes==0.50.2 accelerate safetensors
    python tests/peers/adapters.py            from the root of a checkout, with cargo on the PATH; a few minutes

For random LLaMA, GPT-2 and T5 models: adapters that PEFT writes (the cases of `tests/it/golden/adapters/make.py`) are read here, and the
logits compared; what is read is written again, and PEFT reads that; adapters that begin here are trained a little, and PEFT reads them,
those with parts of the weights as plain ones. Of the runs the losses of all steps are compared: same base, batch, adapter, AdamW.
Without bitsandbytes the runs are on dense weights alone. It ends with "ok", or with the first difference.
"""
import importlib.util
import json
import os
import subprocess
import sys
import tempfile

import torch
from peft import PeftModel
from peft.optimizers import create_loraplus_optimizer
from safetensors.torch import load_file, save_file
from transformers import (AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM,
                          T5Config, T5ForConditionalGeneration)

NEAR = 1e-4
STEPS = 20
path = os.path.join("tests", "it", "golden", "adapters", "make.py")
spec = importlib.util.spec_from_file_location("make", path)
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)


def bases(out):
    """Random models with a vocabulary of 61."""
    llama = dict(vocab_size=61, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, intermediate_size=128,
                 max_position_embeddings=128)
    t5 = dict(vocab_size=61, d_model=64, d_ff=128, num_layers=2, num_decoder_layers=3, num_heads=4, d_kv=16, dropout_rate=0.0,
              decoder_start_token_id=0, pad_token_id=0, eos_token_id=1)
    gpt2 = dict(vocab_size=61, n_positions=128, n_embd=64, n_layer=3, n_head=4, bos_token_id=0, eos_token_id=0, attn_pdrop=0.0, embd_pdrop=0.0,
                resid_pdrop=0.0)
    models = dict(
        llama=lambda: LlamaForCausalLM(LlamaConfig(**llama, tie_word_embeddings=False)),
        llama_tied=lambda: LlamaForCausalLM(LlamaConfig(**llama, tie_word_embeddings=True)),
        gpt2=lambda: GPT2LMHeadModel(GPT2Config(**gpt2)),
        t5=lambda: T5ForConditionalGeneration(T5Config(**t5, feed_forward_proj="gated-gelu", tie_word_embeddings=False)),
        t5_tied=lambda: T5ForConditionalGeneration(T5Config(**t5, feed_forward_proj="relu", tie_word_embeddings=True)),
    )
    for i, (family, new) in enumerate(models.items()):
        torch.manual_seed(i)
        model = new()
        with torch.no_grad():
            for name, p in model.named_parameters():
                p.normal_(1.0, 0.2) if ("norm" in name or "ln_" in name) and "weight" in name else p.normal_(0.0, 0.1)
        model.save_pretrained(os.path.join(out, family))
    return list(models)


# Adapters that begin in Étude, in its words; "quantized" ones on 4-bit weights.
OURS = dict(
    rslora=dict(r=4, use_rslora=True, lora_alpha=6),
    dora=dict(r=4, use_dora=True),
    pissa=dict(r=4, init_lora_weights="pissa"),
    pissa_fast=dict(r=4, init_lora_weights="pissa_niter_4", use_rslora=True),
    olora=dict(r=4, init_lora_weights="olora"),
    pissa_dora=dict(r=4, init_lora_weights="pissa", use_dora=True),
    beside=dict(r=4, bias="all", modules_to_save=["lm_head"], trainable_token_indices=[3, 5]),
)


def steps(family, folder):
    """The losses of training an adapter of a folder, on the base beside it."""
    job = json.load(open(os.path.join(folder, "job.json")))
    kind = dict(dtype=torch.float32, attn_implementation="eager", device_map="cpu")
    source = os.path.join(folder, "base")
    encoder = AutoConfig.from_pretrained(source).is_encoder_decoder
    model = (AutoModelForSeq2SeqLM if encoder else AutoModelForCausalLM).from_pretrained(source, **kind)
    model = PeftModel.from_pretrained(model, folder, is_trainable=True)
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    asked = load_file(os.path.join(folder, "expected.safetensors"))
    ratio = job["loraplus_lr_ratio"]
    if ratio != 1:
        optimizer = create_loraplus_optimizer(model, torch.optim.AdamW, lr=job["lr"], loraplus_lr_ratio=ratio, loraplus_weight_decay=0.0)
    else:
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=job["lr"], weight_decay=0.0)
    losses = []
    for _ in range(job["steps"]):
        loss = torch.nn.functional.cross_entropy(make.logits(model, asked).flatten(0, 1), asked["labels"].long().flatten())
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


def compare(what, ours, theirs, near=NEAR):
    off = (ours - theirs).abs().max().item()
    print(f"{what:60} {off:.1e}")
    if not off < near:
        sys.exit(f"{what} is off by {off}")


def main():
    out = tempfile.mkdtemp()
    try:
        import bitsandbytes  # noqa: F401
        quantized = True
    except ImportError:
        quantized = False
        print("bitsandbytes is not installed: the runs are on dense weights alone")
    jobs, families = [], bases(os.path.join(out, "bases"))
    for family in families:
        base = os.path.join(out, "bases", family)
        for case, options in make.cases(family).items():
            folder = os.path.join(out, "theirs", f"{family}_{case}")
            os.makedirs(folder)
            make.write(base, folder, options)
            jobs.append(dict(base=base, adapter=folder))
        for case, options in OURS.items():
            if family.endswith("tied") and case != "beside":
                continue
            folder = os.path.join(out, "ours", f"{family}_{case}")
            os.makedirs(folder)
            save_file(make.question(make.plain(base)), os.path.join(folder, "expected.safetensors"))
            jobs.append(dict(base=base, config=options, out=folder))
        if not family.endswith("tied"):
            for case, options, ratio in [("lora", dict(r=4), 1.0), ("dora", dict(r=4, use_dora=True), 1.0), ("loraplus", dict(r=4), 8.0)]:
                folder = os.path.join(out, "runs", f"{family}_{case}")
                os.makedirs(folder)
                save_file(make.question(make.plain(base)), os.path.join(folder, "expected.safetensors"))
                job = dict(base=base, config=options, out=folder, quantize=quantized, steps=STEPS, lr=3e-3, loraplus_lr_ratio=ratio)
                json.dump(job, open(os.path.join(folder, "job.json"), "w"))
                jobs.append(job)
    json.dump(jobs, open(os.path.join(out, "adapters.json"), "w"))
    command = ["cargo", "test", "-q", "--test", "it", "peers::answer_about_adapters", "--", "--ignored"]
    subprocess.run(command, check=True, env={**os.environ, "ETUDE_PEERS": out}, stdout=subprocess.DEVNULL)
    for job in jobs:
        folder = job.get("adapter") or job["out"]
        name, answers = os.path.basename(folder), load_file(os.path.join(folder, "answers.safetensors"))
        if "steps" in job:
            theirs = torch.tensor(steps(name.split("_")[0], folder))
            assert theirs[-1] < 0.9 * theirs[0], theirs
            compare(f"{name}: losses of {STEPS} steps", answers["losses"], theirs, 1e-3)
            continue
        asked = load_file(os.path.join(folder, "expected.safetensors"))
        if "adapter" in job:
            compare(f"{name}: read here", answers["logits"], asked["logits"])
            compare(f"{name}: merged here", answers["merged"], asked["logits"])
        with torch.no_grad():
            back = PeftModel.from_pretrained(make.plain(job["base"]), os.path.join(folder, "back"))
            compare(f"{name}: written here, read by PEFT", make.logits(back, asked), answers["logits"])
            compare(f"{name}: merged by PEFT", make.logits(back.merge_and_unload(), asked), answers["logits"])
    print("ok")


main()
