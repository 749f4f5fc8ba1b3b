#!/usr/bin/env python3
"""Makes the golden PEFT adapters beside this file and what PEFT answers with them.

    pip install torch==2.15.0 transformers==5.24.0 peft==0.21.2 safetensors
    python make.py

The bases are golden checkpoints of other folders: ../llama/grouped, ../families/plain (GPT-2), ../t5/gated, and with a head that is the
embedding ../llama/tied and ../t5/plain. A folder FAMILY_CASE holds an adapter of one kind as PEFT saves it, with random weights in the
place of trained ones, and expected.safetensors: the ids that were asked about (source and source_mask of the T5s), labels, logits, the
loss, and the gradients of all that trains, under the names that Étude has for them.
`tests/peers/adapters.py` makes the same of larger models.
"""
import json
import os
import re
import shutil
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

HERE = os.path.dirname(os.path.abspath(__file__))
BASES = dict(llama="../llama/grouped", llama_tied="../llama/tied", gpt2="../families/plain", t5="../t5/gated", t5_tied="../t5/plain")
# Layers of each family: a few, those of the feed-forward, the norms, the embedding and the head.
PARTS = dict(
    llama=dict(few=["q_proj", "v_proj"], inner="up_proj", first=r"layers\.0\.self_attn\..*", stack="layers", norm=["input_layernorm"], table="embed_tokens",
               head="lm_head"),
    gpt2=dict(few=["c_attn"], inner="c_fc", first=r"h\.0\.attn\..*", stack="h", norm=["ln_f"], table="wte", head="lm_head"),
    t5=dict(few=["q", "v"], inner="wi_0", first=r"encoder\.block\.0\.layer\.0\..*", stack="block", norm=["final_layer_norm"], table="shared",
            head="lm_head"),
)
PARTS["llama_tied"] = PARTS["llama"]
PARTS["t5_tied"] = {**PARTS["t5"], "inner": "wi"}


def cases(family):
    """The options of PEFT's LoraConfig by the name of the case."""
    p = PARTS[family]
    some = dict(r=3, lora_alpha=5, target_modules=p["few"])
    all_linear = dict(r=2, lora_alpha=3, target_modules="all-linear")
    tokens = dict(tokens={**some, "trainable_token_indices": [3, 7, 11]})
    if family.endswith("tied"):
        found = {**tokens, "saved": {**some, "modules_to_save": [p["head"]]}}
        # PEFT trains the table that a T5's stacks share without using it: they hold it by themselves.
        return found if family == "t5_tied" else {**found, "table": {**some, "modules_to_save": [p["table"]]}}
    found = dict(
        lora=all_linear,
        rslora={**some, "use_rslora": True},
        dora={**all_linear, "use_dora": True},
        patterns=dict(r=2, lora_alpha=3, target_modules="all-linear", rank_pattern={p["inner"]: 4, p["first"]: 3},
                      alpha_pattern={p["first"]: 7}, use_rslora=True, use_dora=True),
        layers=dict(r=2, lora_alpha=3, target_modules=p["few"] + [p["inner"]], layers_to_transform=[1], layers_pattern=p["stack"]),
        excluded=dict(r=2, lora_alpha=3, target_modules="all-linear", exclude_modules=p["few"]),
        saved={**some, "modules_to_save": p["norm"] + [p["head"]]},
        pissa={**some, "init_lora_weights": "pissa"},
    )
    if family != "t5":  # PEFT takes its head for the embedding, since transformers says that it is
        found |= tokens
    if family == "gpt2":
        found |= dict(bias_all={**some, "bias": "all"}, bias_lora_only={**all_linear, "bias": "lora_only", "use_dora": True})
    else:
        found |= dict(olora={**some, "init_lora_weights": "olora"})
    return found


def plain(folder):
    kind = dict(dtype=torch.float32, attn_implementation="eager")
    encoder = AutoConfig.from_pretrained(folder).is_encoder_decoder
    model = (AutoModelForSeq2SeqLM if encoder else AutoModelForCausalLM).from_pretrained(folder, **kind)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def question(model):
    """Ids and labels; those of Étude: labels[i] follows tokens[i], -100 counts for nothing."""
    torch.manual_seed(1)
    vocabulary = model.config.vocab_size
    tokens = torch.randint(3, vocabulary, (2, 12))
    tokens[0, 2:5] = torch.tensor([3, 7, 11])
    labels = torch.cat([tokens[:, 1:], torch.full((2, 1), -100)], 1)
    labels[0, 3] = -100
    asked = dict(tokens=tokens, labels=labels)
    if model.config.is_encoder_decoder:
        source, mask = torch.randint(3, vocabulary, (2, 9)), torch.ones(2, 9, dtype=torch.long)
        source[1, 6:], mask[1, 6:] = 0, 0
        asked |= dict(source=source, source_mask=mask)
    return asked


def logits(model, asked):
    if "source" in asked:
        return model(input_ids=asked["source"].long(), attention_mask=asked["source_mask"].long(), decoder_input_ids=asked["tokens"].long()).logits
    return model(input_ids=asked["tokens"].long()).logits


def ours(name):
    """The name of a parameter in Étude."""
    name = name.replace(".default", "")
    name = re.sub(r"lora_magnitude_vector\.weight$", "lora_magnitude_vector", name)
    if "lora_" in name or "token_adapter" in name:
        return name
    name = name.removeprefix("base_model.model.").replace(".base_layer", "").replace(".modules_to_save", "")
    return name


def randomize(model):
    torch.manual_seed(2)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.requires_grad:
                p.add_(torch.randn_like(p) * 0.1)


def answer(model, folder):
    """Writes what the model answers."""
    asked = question(model)
    model.train()
    out = logits(model, asked)
    loss = torch.nn.functional.cross_entropy(out.flatten(0, 1), asked["labels"].flatten())
    model.zero_grad()
    loss.backward()
    grads = {f"grad.{ours(name)}": p.grad for name, p in model.named_parameters() if p.requires_grad and p.grad is not None}
    tensors = dict(**asked, logits=out, loss=loss.reshape(1), **grads)
    save_file({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}, os.path.join(folder, "expected.safetensors"))


def write(base, folder, options):
    """An adapter of these options on a base, as PEFT saves it."""
    model = plain(base)
    kind = "SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM"
    turned = any(type(module).__name__ == "Conv1D" for module in model.modules())
    torch.manual_seed(5)
    model = get_peft_model(model, LoraConfig(**options, fan_in_fan_out=turned, task_type=kind))
    randomize(model)
    model.save_pretrained(folder, save_embedding_layers=False)
    for extra in ["README.md"]:
        os.remove(os.path.join(folder, extra))
    path = os.path.join(folder, "adapter_config.json")
    config = json.load(open(path))
    config["base_model_name_or_path"] = os.path.basename(base)
    json.dump(config, open(path, "w"), indent=2)
    answer(model, folder)
    # What PEFT loads again must be the same, or it would be PEFT's mistake that is tested here.
    again = PeftModel.from_pretrained(plain(base), folder)
    expected = load_file(os.path.join(folder, "expected.safetensors"))
    with torch.no_grad():
        off = (logits(again, expected) - expected["logits"]).abs().max().item()
    if off > 1e-4:
        sys.exit(f"{folder}: PEFT itself is off by {off}")


def main():
    for name in os.listdir(HERE):
        if os.path.isdir(os.path.join(HERE, name)):
            shutil.rmtree(os.path.join(HERE, name))
    for family, base in BASES.items():
        for case, options in cases(family).items():
            write(os.path.join(HERE, base), os.path.join(HERE, f"{family}_{case}"), options)


if __name__ == "__main__":
    main()
