#!/usr/bin/env python3
"""Makes the golden T5 checkpoints beside this file and the answers of the Python peers to them.

    pip install torch==2.15.0 transformers==5.23.0 peft==0.21.2 bitsandbytes==0.50.2 accelerate safetensors
    python make.py

plain/    version 1.0: "relu", a head that is the embedding
gated/    version 1.1: "gated-gelu", a head of its own, a decoder deeper than the encoder, heads of a width of their own
silu/     "gated-silu", a tied head, few buckets and a small greatest distance
again/    gated/ as transformers 5 saves it, which says tie_word_embeddings true and scale_decoder_outputs false
adapter/  a PEFT adapter for gated/ (all of its linear layers)
nf4/      plain/ in 4 bits, as bitsandbytes packs it

All answers are computed in f32. Each folder has expected.safetensors: source, source_mask, tokens, labels, logits, loss, attention of
layer 1 of the decoder, 60 greedy ids of a continuation, some gradients.
"""
import os
import shutil

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForSeq2SeqLM, BitsAndBytesConfig, T5Config, T5ForConditionalGeneration

HERE = os.path.dirname(os.path.abspath(__file__))
SHAPE = dict(vocab_size=40, d_model=32, d_ff=48, num_layers=2, num_heads=4, d_kv=8, dropout_rate=0.0, decoder_start_token_id=1,
             pad_token_id=0, eos_token_id=2, bos_token_id=1)


def at(name):
    return os.path.join(HERE, name)


def expect(model, folder, gradients=(), greedy=True):
    """Writes what the model answers. Labels are those of Étude: labels[i] follows tokens[i], -100 counts for nothing."""
    torch.manual_seed(1)
    source = torch.randint(3, 40, (2, 30))
    mask = torch.ones_like(source)
    mask[1, 11:] = 0
    source[1, 11:] = 0
    tokens = torch.randint(3, 40, (2, 25))
    tokens[:, 0] = 1
    labels = torch.cat([tokens[:, 1:], torch.full((2, 1), -100)], 1)
    labels[0, 3] = -100
    model.train()  # bitsandbytes' kernel for evaluation computes in bf16; nothing is dropped
    out = model(input_ids=source, attention_mask=mask, decoder_input_ids=tokens, output_attentions=True)
    loss = torch.nn.functional.cross_entropy(out.logits.flatten(0, 1), labels.flatten())
    grads = {}
    if gradients:
        loss.backward()
        parameters = dict(model.named_parameters())
        grads = {f"grad.{name}": parameters[name].grad for name in gradients}
    tensors = dict(source=source, source_mask=mask, tokens=tokens, labels=labels, logits=out.logits, loss=loss.reshape(1),
                   attention=out.decoder_attentions[1], **grads)
    if greedy:
        model.eval()
        ids = torch.full((2, 1), 1)
        for _ in range(60):
            with torch.no_grad():
                logits = model(input_ids=source, attention_mask=mask, decoder_input_ids=ids).logits[:, -1]
            ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], 1)
        tensors["greedy"] = ids
    save_file({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()},
              os.path.join(at(folder), "expected.safetensors"))


def randomize(model):
    """Spreads norms and weights, so that no part hides behind ones and small numbers."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name:
                p.normal_(1.0, 0.2)
            elif "relative" in name:
                p.normal_(0.0, 1.0)
            elif "shared" in name or "lm_head" in name:
                p.normal_(0.0, 0.7)
            else:
                p.normal_(0.0, 0.15)


def load(folder, **options):
    return AutoModelForSeq2SeqLM.from_pretrained(at(folder), dtype=torch.float32, attn_implementation="eager", **options)


def tidy(folder):
    for extra in ["generation_config.json", "README.md"]:
        path = os.path.join(at(folder), extra)
        if os.path.exists(path):
            os.remove(path)


def make(folder, own_head=False, **options):
    torch.manual_seed(3)
    model = T5ForConditionalGeneration(T5Config(**{**SHAPE, **options}, tie_word_embeddings=not own_head))
    if own_head:  # transformers 5 ties them whatever the configuration says
        model.lm_head.weight = torch.nn.Parameter(torch.zeros_like(model.shared.weight))
    randomize(model)
    model.save_pretrained(at(folder))
    if own_head:
        shutil.copytree(at(folder), at("again"))
        tidy("again")
        path = os.path.join(at(folder), "config.json")
        text = open(path).read()
        # As the files of version 1.1 that are around say it.
        assert '"tie_word_embeddings": true' in text and '"scale_decoder_outputs": false' in text
        text = text.replace('"tie_word_embeddings": true', '"tie_word_embeddings": false').replace('  "scale_decoder_outputs": false,\n', '')
        open(path, "w").write(text)
    tidy(folder)


def main():
    for name in os.listdir(HERE):
        if os.path.isdir(at(name)):
            shutil.rmtree(at(name))
    block = "encoder.block.0.layer.0.SelfAttention."
    # Rows of 64 numbers: bitsandbytes 0.50.2 dequantises blocks that span rows wrongly on the CPU.
    make("plain", d_model=64, d_kv=16, d_ff=64)
    expect(load("plain"), "plain", gradients=[
        "shared.weight", block + "relative_attention_bias.weight", "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        block + "q.weight", "encoder.block.1.layer.1.DenseReluDense.wi.weight", "encoder.final_layer_norm.weight",
        "decoder.block.0.layer.1.EncDecAttention.k.weight", "decoder.block.1.layer.1.EncDecAttention.q.weight",
        "decoder.block.1.layer.2.DenseReluDense.wo.weight", "decoder.block.1.layer.1.layer_norm.weight"])
    make("gated", own_head=True, feed_forward_proj="gated-gelu", num_decoder_layers=3, d_kv=6)
    expect(load("gated"), "gated", gradients=["shared.weight", "lm_head.weight",
                                              "decoder.block.2.layer.2.DenseReluDense.wi_0.weight"])
    expect(load("again"), "again")
    make("silu", feed_forward_proj="gated-silu", relative_attention_num_buckets=8, relative_attention_max_distance=12)
    expect(load("silu"), "silu")

    lora = get_peft_model(load("gated"), LoraConfig(r=4, lora_alpha=6, target_modules=["q", "k", "v", "o", "wi_0", "wi_1", "wo"],
                                                    task_type="SEQ_2_SEQ_LM"))
    with torch.no_grad():
        for name, p in lora.named_parameters():
            if "lora_B" in name:
                p.normal_(0.0, 0.1)
    lora.save_pretrained(at("adapter"))
    tidy("adapter")
    path = os.path.join(at("adapter"), "adapter_config.json")
    text = open(path).read().replace(HERE + os.sep, "")
    open(path, "w").write(text)
    expect(lora, "adapter", greedy=False)

    how = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                             bnb_4bit_compute_dtype=torch.float32)
    small = load("plain", quantization_config=how, device_map="cpu")
    small.save_pretrained(at("nf4"))
    tidy("nf4")
    expect(small, "nf4", greedy=False)


main()
