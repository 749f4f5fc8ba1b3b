"""Saved datasets against the real `datasets` library, both ways. Opt-in: it is not part of `cargo test`.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install datasets==5.2.0
    /tmp/peers/bin/python tests/peers/datasets_roundtrip.py            from the root of the repository

1. Étude builds and saves; `load_from_disk` reads the rows it should.
2. `datasets` writes the same rows in the forms it may give them (int64, long lists, fixed lists, many files, a split
   called `test`, one split alone, its own `map`ped copy); Étude opens each and saves it again; the rows are the same.
3. Étude replaces a dataset that `datasets` wrote.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
from datasets import Dataset, DatasetDict, Features, LargeList, List, Value, load_from_disk

ROOT = Path(__file__).resolve().parents[2]


def etude(*args):
    """What the example `dataset` says."""
    command = ["cargo", "run", "--quiet", "--release", "--example", "dataset", "--", *map(str, args)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def rows(dataset):
    return [row["input_ids"] for row in dataset]


def again(saved, tokenizer, out):
    """The rows of a dataset that Étude opened and saved once more."""
    shutil.copy(tokenizer, saved / "tokenizer.json")
    etude(saved, out)
    back = load_from_disk(str(out))
    return rows(back["train"]), rows(back["validation"])


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        midi = folder / "midi"
        midi.mkdir()
        for file in sorted((ROOT / "examples/midi").glob("*.mid"))[:3]:
            shutil.copy(file, midi)
        ours = folder / "ours"
        output = etude(midi, ours)

        theirs = load_from_disk(str(ours))
        assert list(theirs) == ["train", "validation"], theirs
        assert theirs["train"].features == Features({"input_ids": List(Value("int32"))}), theirs["train"].features
        train, val = rows(theirs["train"]), rows(theirs["validation"])
        assert f"{len(train)} rows of 512" in output and f"{len(val)} rows of 512" in output, output
        size = json.loads((ours / "tokenizer.json").read_text()).get("vocab_size", 1 << 16)
        assert all(len(row) == 512 and 0 <= min(row) and max(row) < size for row in train + val)
        assert train[0][0] == val[0][0] == 1, "pieces begin with BOS"
        print(f"load_from_disk: {len(train)} + {len(val)} rows")

        plain = DatasetDict({"train": Dataset.from_dict({"input_ids": train}), "test": Dataset.from_dict({"input_ids": val})})
        forms = {
            "int64, test": plain,
            "long lists": plain.cast(Features({"input_ids": LargeList(Value("int32"))})),
            "fixed lists": plain.cast(Features({"input_ids": List(Value("int16"), length=512)})),
            "mapped": theirs.map(lambda row: {"input_ids": row["input_ids"], "length": len(row["input_ids"])}),
            "shuffled back": DatasetDict({name: part.select(range(len(part))) for name, part in plain.items()}),
        }
        for name, form in forms.items():
            saved = folder / name
            form.save_to_disk(str(saved))
            assert again(saved, ours / "tokenizer.json", folder / f"{name} again") == (train, val), name
            print(f"{name}: the same rows")

        sharded = folder / "sharded"
        plain.save_to_disk(str(sharded), num_shards={"train": 3, "test": 2})
        assert len(list(sharded.glob("train/*.arrow"))) == 3
        assert again(sharded, ours / "tokenizer.json", folder / "sharded again") == (train, val)
        print("many files: the same rows")

        picked = plain["train"].select([5, 0, 3])
        picked.save_to_disk(str(folder / "picked"))
        wanted = [train[5], train[0], train[3]], []
        assert again(folder / "picked", ours / "tokenizer.json", folder / "picked again") == wanted
        print("one split alone, rows picked: the same rows")

        etude(ours, sharded.parent / "int64, test")
        assert rows(load_from_disk(str(sharded.parent / "int64, test"))["train"]) == train
        print("a dataset of theirs is replaced")
    print("ok")


if __name__ == "__main__":
    main()
