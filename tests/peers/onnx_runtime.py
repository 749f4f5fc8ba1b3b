#!/usr/bin/env python3
"""Runs what Étude exports as ONNX in ONNX Runtime: the same logits, and the same ids over 300 steps with the cache.

    pip install onnx==1.23.2 onnxruntime==1.32.0 numpy
    python tests/peers/onnx_runtime.py            from the root of a checkout, with cargo on the PATH; half a minute

Each family, in f32 and in 4 bits, and the base: onnx.checker accepts the files; without a cache the logits are the same; rows
padded on the left answer as they do alone. It ends with "ok", or with the first difference.
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime

NEAR = 2e-4


def session(path):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check="bnb4" not in path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def ints(rows):
    return np.array(rows, dtype=np.int64)


class Decoder:
    """A decoder alone: model.onnx."""

    def __init__(self, folder, ending, expected):
        self.run = session(os.path.join(folder, f"model{ending}"))
        self.inputs = [i.name for i in self.run.get_inputs()]
        self.outputs = [o.name for o in self.run.get_outputs()]
        self.shape = (expected["kv_heads"], expected["head_dim"])

    def empty(self, rows):
        heads, dim = self.shape
        return {name: np.zeros((rows, heads, 0, dim), np.float32) for name in self.inputs if name.startswith("past")}

    def __call__(self, ids, cache, mask):
        """Logits of ids (batch, time), given what is seen of the cache and of them (batch, past + time)."""
        feeds = {"input_ids": ids, "attention_mask": mask, **cache}
        if "position_ids" in self.inputs:
            feeds["position_ids"] = np.maximum(mask.cumsum(-1) - 1, 0)[:, -ids.shape[1]:]
        results = dict(zip(self.outputs, self.run.run(None, feeds)))
        return results.pop("logits"), {name.replace("present", "past_key_values"): v for name, v in results.items()}

    def start(self, rows, _source):
        return self.empty(rows)


class EncoderDecoder:
    """encoder_model.onnx and decoder_model_merged.onnx."""

    def __init__(self, folder, ending, expected):
        self.encoder = session(os.path.join(folder, f"encoder_model{ending}"))
        self.run = session(os.path.join(folder, f"decoder_model_merged{ending}"))
        self.inputs = [i.name for i in self.run.get_inputs()]
        self.outputs = [o.name for o in self.run.get_outputs()]
        self.shape = (expected["kv_heads"], expected["head_dim"])

    def start(self, rows, source):
        # Padding behind the source must change nothing.
        ids = ints([source + [3] * 4] * rows)
        self.source_mask = ints([[1] * len(source) + [0] * 4] * rows)
        [self.states] = self.encoder.run(None, {"input_ids": ids, "attention_mask": self.source_mask})
        heads, dim = self.shape
        # What is given here counts as empty while use_cache_branch is false.
        return {name: np.ones((rows, heads, 1, dim), np.float32) for name in self.inputs if name.startswith("past")}

    def __call__(self, ids, cache, mask):
        reuse = np.array([mask.shape[1] > ids.shape[1]])
        feeds = {"input_ids": ids, "encoder_hidden_states": self.states, "encoder_attention_mask": self.source_mask, "use_cache_branch": reuse}
        results = dict(zip(self.outputs, self.run.run(None, {**feeds, **cache})))
        return results.pop("logits"), {name.replace("present", "past_key_values"): v for name, v in results.items()}


def check(name, folder):
    expected = json.load(open(os.path.join(folder, "expected.json")))
    kind = Decoder if expected["source"] is None else EncoderDecoder
    model = kind(folder, "_bnb4.onnx" if name.endswith("bnb4") else ".onnx", expected)
    prompt, greedy = expected["prompt"], expected["greedy"]
    assert len(greedy) == 300

    ids, cache = prompt, model.start(1, expected["source"])
    so_far, off, step = [], None, None
    while len(so_far) < len(greedy):
        seen = len(prompt) + len(so_far)
        logits, cache = model(ints([ids]), cache, ints([[1] * seen]))
        if off is None:
            off = np.abs(logits[0, -1] - np.array(expected["logits"], np.float32)).max()
        # The likeliest that is none of the last eight: a randomly initialised model would repeat one id.
        step = logits[0, -1].copy()
        logits[0, -1, so_far[-8:]] = -np.inf
        ids = [int(logits[0, -1].argmax())]
        so_far += ids
    wrong = [i for i, (a, b) in enumerate(zip(so_far, greedy)) if a != b]
    if wrong:
        sys.exit(f"{name}: id {wrong[0]} is {so_far[wrong[0]]}, not {greedy[wrong[0]]}; the first logits are off by {off:.1e}")

    whole, _ = model(ints([prompt + greedy[:-1]]), model.start(1, expected["source"]), ints([[1] * (len(prompt) + 299)]))
    off = max(off, np.abs(whole[0, -1] - step).max())

    if kind is Decoder:  # a longer row beside one that is padded on the left
        rows = [prompt + greedy[:5], [0] * 7 + prompt[:5]]
        mask = ints([[1] * 12, [0] * 7 + [1] * 5])
        both, cache = model(ints(rows), model.start(2, None), mask)
        for row, own in enumerate([rows[0], prompt[:5]]):
            alone, _ = model(ints([own]), model.start(1, None), ints([[1] * len(own)]))
            off = max(off, np.abs(alone[0, -1] - both[row, -1]).max())
        both, _ = model(ints([[4], [4]]), cache, np.concatenate([mask, ints([[1], [1]])], 1))
        alone, _ = model(ints([prompt[:5] + [4]]), model.start(1, None), ints([[1] * 6]))
        off = max(off, np.abs(alone[0, -1] - both[1, -1]).max())

    print(f"{name:32} {len(set(greedy)):3} different ids of 300, all the same; logits {off:.1e}")
    if not off < NEAR:
        sys.exit(f"{name} is off by {off}")


def main():
    out = os.environ.get("ETUDE_PEERS") or tempfile.mkdtemp()
    command = ["cargo", "test", "-q", "--test", "it", "onnx::write_onnx", "--", "--ignored"]
    subprocess.run(command, check=True, env={**os.environ, "ETUDE_PEERS": out}, stdout=subprocess.DEVNULL)
    names = sorted(name for name in os.listdir(out) if os.path.isdir(os.path.join(out, name)))
    assert len(names) == 27, names
    for name in names:
        check(name, os.path.join(out, name))
    print("ok")


main()
