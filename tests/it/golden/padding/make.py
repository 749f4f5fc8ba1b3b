#!/usr/bin/env python3
"""Makes the answers of `transformers` to padded batches, with the golden checkpoints of the other folders.

    pip install torch==2.15.0 transformers==5.24.0 safetensors
    python make.py

Rows of 9, 4 and 6 ids (18, 4 and 6 for `llama_dynamic`, whose angles depend on the longest sequence) are padded at the right, at the left, and at both ends. Positions are counted from the first id that is
not padding, as `generate` counts them; `plain.places` has those that `forward` takes by itself, which count from the start of
the row. For each case: tokens, mask, positions (where they are given), labels (Étude's: labels[i] follows tokens[i], -100 counts
for nothing), logits, loss and some gradients. All in f32. Values at padding are 0: they mean nothing.
"""
import os

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, T5ForConditionalGeneration

HERE = os.path.dirname(os.path.abspath(__file__))
GRADIENTS = {
    "plain": ["transformer.wpe.weight", "transformer.h.0.attn.c_proj.bias"],
    "llama_bias": ["model.embed_tokens.weight", "model.layers.0.self_attn.k_proj.bias"],
    "llama_dynamic": [],
    "gated": ["decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", "shared.weight"],
}


def batch(side, longest):
    torch.manual_seed(3)
    width = longest + 3
    tokens = torch.randint(1, 40, (3, width))
    mask = torch.zeros_like(tokens)
    for row, length in enumerate((longest, 4, 6)):
        begin = {"left": width - length, "right": 0, "both": (width - length) // 2}[side]
        mask[row, begin:begin + length] = 1
    labels = torch.where((mask * mask.roll(-1, 1)).bool(), tokens.roll(-1, 1), -100)
    labels[:, -1] = -100
    return tokens * mask, mask, labels


def answers(tensors, name, case, model, side, places=False):
    tokens, mask, labels = batch(side, 18 if name == "llama_dynamic" else 9)
    inputs = dict(input_ids=tokens, attention_mask=mask)
    if name == "gated":
        inputs = dict(decoder_input_ids=tokens, decoder_attention_mask=mask,
                      input_ids=torch.arange(1, 13).reshape(3, 4), attention_mask=torch.ones(3, 4, dtype=torch.long))
        tensors[f"{case}.source"] = inputs["input_ids"]
    else:
        counted = torch.arange(mask.shape[1]).expand_as(mask) if places else (mask.cumsum(1) - 1).clamp(min=0)
        inputs["position_ids"] = counted
        if places:
            tensors[f"{case}.positions"] = counted
    model.zero_grad()
    logits = model(**inputs).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    loss.backward()
    parameters = dict(model.named_parameters())
    tensors.update({f"{case}.tokens": tokens, f"{case}.mask": mask, f"{case}.labels": labels,
                    f"{case}.logits": logits * mask.unsqueeze(2), f"{case}.loss": loss.reshape(1)})
    tensors.update({f"{case}.grad.{key}": parameters[key].grad for key in GRADIENTS[name]})


tensors = {}
for name in GRADIENTS:
    folder = os.path.join(HERE, "..", "t5" if name == "gated" else "families", name)
    kind = T5ForConditionalGeneration if name == "gated" else AutoModelForCausalLM
    model = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    for side in ("left", "right", "both"):
        answers(tensors, name, f"{name}.{side}", model, side)
    if name == "plain":
        answers(tensors, name, "plain.places", model, "left", places=True)
save_file({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()},
          os.path.join(HERE, "expected.safetensors"))
