#!/usr/bin/env python3
"""Loads what Étude saves in transformers, peft and bitsandbytes, and compares the logits.

    pip install torch==2.15.0 transformers==5.23.0 peft==0.21.2 bitsandbytes==0.50.2 accelerate safetensors
    python tests/peers/hf_roundtrip.py            from the root of a checkout, with cargo on the PATH; about a minute

It is not part of `cargo test`, since it needs 7 GB of Python. It ends with "ok", or with the first difference.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

NEAR = 2e-4


def base_of(folder):
    """transformers resolves an adapter's base by itself when both lie in one folder; peft is given the base alone."""
    bare = tempfile.mkdtemp()
    for name in ["config.json", "model.safetensors"]:
        shutil.copy(os.path.join(folder, name), bare)
    return bare


def load(folder):
    kind = dict(dtype=torch.float32, attn_implementation="eager", device_map="cpu")
    encoder = AutoConfig.from_pretrained(folder).is_encoder_decoder
    return (AutoModelForSeq2SeqLM if encoder else AutoModelForCausalLM).from_pretrained(folder, **kind)


def compare(name, how, model, expected):
    model.train()  # bitsandbytes' kernel for evaluation computes in bf16
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with torch.no_grad():
        ids = dict(input_ids=expected["tokens"].long())
        if "source" in expected:
            ids = dict(input_ids=expected["source"].long(), attention_mask=expected["source_mask"].long(), decoder_input_ids=ids["input_ids"])
        logits = model(**ids).logits
    off = (logits - expected["logits"]).abs().max().item()
    print(f"{name:8} {how:28} {off:.1e}")
    if not off < NEAR:
        sys.exit(f"{name} through {how} is off by {off}")


def main():
    out = tempfile.mkdtemp()
    command = ["cargo", "test", "-q", "--test", "it", "peers::write_models", "--", "--ignored"]
    subprocess.run(command, check=True, env={**os.environ, "ETUDE_PEERS": out}, stdout=subprocess.DEVNULL)
    seen = sorted(os.listdir(out))
    assert seen == ["gpt2", "gpt2_lora", "gpt2_nf4", "half", "lora", "merged", "nf4", "plain", "qlora", "t5", "t5_gated", "t5_lora", "t5_nf4", "t5_qlora",
                    "tied"], seen
    for name in seen:
        folder = os.path.join(out, name)
        expected = load_file(os.path.join(folder, "expected.safetensors"))
        compare(name, "AutoModel", load(folder), expected)
        if os.path.exists(os.path.join(folder, "adapter_config.json")):
            model = PeftModel.from_pretrained(load(base_of(folder)), folder)
            compare(name, "PeftModel.from_pretrained", model, expected)
            again = tempfile.mkdtemp()
            model.save_pretrained(again)
            ours = load_file(os.path.join(folder, "adapter_model.safetensors"))
            theirs = load_file(os.path.join(again, "adapter_model.safetensors"))
            assert ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)
            config = [json.load(open(os.path.join(d, "adapter_config.json"))) for d in (folder, again)]
            keys = ["r", "lora_alpha", "lora_dropout", "use_rslora", "peft_type", "task_type"]
            assert all(config[0][key] == config[1][key] for key in keys), config
        elif not name.endswith("nf4"):  # transformers cannot save 4-bit weights that it has read
            again = tempfile.mkdtemp()
            load(folder).save_pretrained(again)
            compare(name, "saved and loaded once more", load(again), expected)
    print("ok")


main()
