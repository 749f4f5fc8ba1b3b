#!/usr/bin/env python3
"""Makes the golden LLaMA checkpoints beside this file and the answers of the Python peers to them.

    pip install torch==2.15.0 transformers==5.23.0 peft==0.21.2 bitsandbytes==0.50.2 accelerate safetensors
    python make.py

grouped/  bf16, grouped heads of keys and values, heads wider than hidden/heads, a head of its own
tied/     f32 in several files with an index, head tied to the embedding
adapter/  a PEFT adapter for grouped/ (rank 4, two kinds of layers)
nf4/      grouped/ in 4 bits with double quantisation, written by transformers + bitsandbytes
nf4_single/  the same without double quantisation
All answers are computed in f32. Widths are multiples of 64: bitsandbytes 0.50.2 on the CPU dequantises narrower rows wrongly.
Each folder has expected.safetensors: tokens, labels, logits, loss, attention of layer 1, some gradients.
"""
import os
import shutil

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
SHAPE = dict(vocab_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
             max_position_embeddings=64, rms_norm_eps=1e-5)


def at(name):
    return os.path.join(HERE, name)


def expect(model, folder, gradients=(), **more):
    """Writes what the model answers. Labels are those of Étude: labels[i] follows tokens[i], -100 counts for nothing."""
    torch.manual_seed(1)
    tokens = torch.randint(0, SHAPE["vocab_size"], (2, 12))
    labels = torch.cat([tokens[:, 1:], torch.full((2, 1), -100)], 1)
    labels[0, 3] = -100
    model.train()  # in eval mode bitsandbytes takes another kernel with bf16 inside
    out = model(input_ids=tokens, output_attentions=True)
    loss = torch.nn.functional.cross_entropy(out.logits.flatten(0, 1), labels.flatten())
    loss.backward()
    parameters = dict(model.named_parameters())
    grads = {f"grad.{name}": parameters[name].grad for name in gradients}
    tensors = dict(tokens=tokens, labels=labels, logits=out.logits, loss=loss.reshape(1),
                   attention=out.attentions[1], **grads, **more)
    tensors = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
    save_file(tensors, os.path.join(at(folder), "expected.safetensors"))


def randomize(model):
    """Spreads norms and weights, so that no part hides behind ones and small numbers."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.normal_(1.0, 0.2) if "norm" in name else p.normal_(0.0, 0.15)


def plain(folder):
    return AutoModelForCausalLM.from_pretrained(at(folder), dtype=torch.float32, attn_implementation="eager")


def main():
    for name in ["grouped", "tied", "adapter", "nf4", "nf4_single"]:
        shutil.rmtree(at(name), ignore_errors=True)

    torch.manual_seed(0)
    config = LlamaConfig(**SHAPE, hidden_size=64, num_key_value_heads=2, head_dim=32, tie_word_embeddings=False,
                         rope_parameters={"rope_type": "default", "rope_theta": 5000.0})
    grouped = LlamaForCausalLM(config)
    randomize(grouped)
    grouped.to(torch.bfloat16).save_pretrained(at("grouped"))
    expect(plain("grouped"), "grouped",
           gradients=["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight",
                      "model.layers.0.self_attn.k_proj.weight", "model.layers.1.mlp.down_proj.weight"])

    tied = LlamaForCausalLM(LlamaConfig(**SHAPE, hidden_size=32, tie_word_embeddings=True))
    randomize(tied)
    tied.save_pretrained(at("tied"), max_shard_size="40KB")
    expect(plain("tied"), "tied", gradients=["model.embed_tokens.weight"])

    lora = get_peft_model(plain("grouped"), LoraConfig(r=4, lora_alpha=6, use_rslora=True, target_modules=["q_proj", "down_proj"],
                                           task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, p in lora.named_parameters():
            if "lora_B" in name:
                p.normal_(0.0, 0.1)
    lora.save_pretrained(at("adapter"))
    os.remove(os.path.join(at("adapter"), "README.md"))
    path = os.path.join(at("adapter"), "adapter_config.json")
    text = open(path).read().replace(HERE + os.sep, "")
    open(path, "w").write(text)
    expect(lora, "adapter")

    for name, double in [("nf4", True), ("nf4_single", False)]:
        quant = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=double,
                                   bnb_4bit_compute_dtype=torch.float32)
        small = AutoModelForCausalLM.from_pretrained(at("grouped"), quantization_config=quant, device_map="cpu",
                                                     dtype=torch.float32, attn_implementation="eager")
        small.save_pretrained(at(name))
        expect(small, name)

    for folder in ["grouped", "tied", "nf4", "nf4_single"]:
        extra = os.path.join(at(folder), "generation_config.json")
        if os.path.exists(extra):
            os.remove(extra)


main()
