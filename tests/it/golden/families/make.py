#!/usr/bin/env python3
"""Makes the golden GPT-2 checkpoints beside this file, a LLaMA with every further option of its configuration, and the
answers of the Python peers to them.

    pip install torch==2.15.0 transformers==5.23.0 peft==0.21.2 safetensors
    python make.py

plain/    GPT-2 with a tied head and `scale_attn_by_inverse_layer_idx`
erf/      GPT-2 with a head of its own, "gelu", an inner width of its own, scores that are not scaled, and the names of old files,
          which leave "transformer." out
adapter/  a PEFT adapter for plain/ (all of its linear layers)
llama_*/  biases and other activations, and each kind of `rope_parameters`, with sequences beyond the trained length
All answers are computed in f32. Each folder has expected.safetensors: tokens, labels, logits, loss, attention of layer 1, some
gradients.
"""
import os
import shutil

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
SHAPE = dict(vocab_size=40, n_positions=32, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0,
             attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0)


def at(name):
    return os.path.join(HERE, name)


def expect(model, folder, gradients=(), length=12):
    """Writes what the model answers. Labels are those of Étude: labels[i] follows tokens[i], -100 counts for nothing."""
    torch.manual_seed(1)
    tokens = torch.randint(0, 40, (2, length))
    labels = torch.cat([tokens[:, 1:], torch.full((2, 1), -100)], 1)
    labels[0, 3] = -100
    out = model(input_ids=tokens, output_attentions=True)
    loss = torch.nn.functional.cross_entropy(out.logits.flatten(0, 1), labels.flatten())
    loss.backward()
    parameters = dict(model.named_parameters())

    def grad(name):
        # Étude holds the weights of Conv1D as (out, in), as those of linear layers.
        g = parameters[name].grad
        return g.T if name.endswith((".c_attn.weight", ".c_fc.weight", ".c_proj.weight")) else g

    grads = {f"grad.{name}": grad(name) for name in gradients}
    tensors = dict(tokens=tokens, labels=labels, logits=out.logits, loss=loss.reshape(1), attention=out.attentions[1], **grads)
    save_file({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()},
              os.path.join(at(folder), "expected.safetensors"))


def randomize(model):
    """Spreads norms, biases and weights, so that no part hides behind ones, zeros and small numbers."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.normal_(1.0, 0.2) if ("norm" in name or "ln_" in name) and "weight" in name else p.normal_(0.0, 0.15)


def plain(folder):
    return AutoModelForCausalLM.from_pretrained(at(folder), dtype=torch.float32, attn_implementation="eager")


def save(model, folder):
    randomize(model)
    model.save_pretrained(at(folder))
    extra = os.path.join(at(folder), "generation_config.json")
    if os.path.exists(extra):
        os.remove(extra)


def llama(folder, length=12, **options):
    torch.manual_seed(3)
    config = LlamaConfig(vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                         intermediate_size=40, tie_word_embeddings=True, **options)
    save(LlamaForCausalLM(config), folder)
    expect(plain(folder), folder, length=length)


def main():
    for name in os.listdir(HERE):
        if os.path.isdir(at(name)):
            shutil.rmtree(at(name))

    torch.manual_seed(0)
    save(GPT2LMHeadModel(GPT2Config(**SHAPE, scale_attn_by_inverse_layer_idx=True)), "plain")
    expect(plain("plain"), "plain", gradients=[
        "transformer.wte.weight", "transformer.wpe.weight", "transformer.ln_f.bias", "transformer.h.0.ln_1.weight",
        "transformer.h.0.attn.c_attn.weight", "transformer.h.0.attn.c_attn.bias", "transformer.h.1.mlp.c_fc.weight",
        "transformer.h.1.mlp.c_proj.bias"])

    save(GPT2LMHeadModel(GPT2Config(**SHAPE, activation_function="gelu", n_inner=48, scale_attn_weights=False,
                                    tie_word_embeddings=False)), "erf")
    path = os.path.join(at("erf"), "model.safetensors")
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in load_file(path).items()}
    tensors["h.0.attn.bias"] = torch.tril(torch.ones(1, 1, 32, 32))  # the mask that old files hold
    save_file(tensors, path, metadata={"format": "pt"})
    expect(plain("erf"), "erf", gradients=["transformer.wpe.weight", "lm_head.weight"])

    lora = get_peft_model(plain("plain"), LoraConfig(r=4, lora_alpha=6, target_modules=["c_attn", "c_proj", "c_fc"],
                                                     fan_in_fan_out=True, task_type="CAUSAL_LM"))
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

    llama("llama_bias", attention_bias=True, mlp_bias=True, hidden_act="gelu", max_position_embeddings=32)
    llama("llama_relu", hidden_act="relu", max_position_embeddings=32)
    theta = dict(rope_theta=50.0)  # few turns, so that every kind changes some angle within a short sequence
    for kind, rope in dict(
        linear=dict(factor=2.0),
        dynamic=dict(factor=3.0),
        llama3=dict(factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16),
        yarn=dict(factor=4.0, beta_fast=4.0, original_max_position_embeddings=16),
    ).items():
        length = 30 if kind == "dynamic" else 24
        llama(f"llama_{kind}", length=length, max_position_embeddings=16 if kind == "dynamic" else 64,
              rope_parameters=dict(rope_type=kind, **theta, **rope))


main()
