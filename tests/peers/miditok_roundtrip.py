"""Tokenizers against the real MidiTok, both ways. Opt-in: it is not part of `cargo test`.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install miditok==3.1.0 symusic==0.6.0 tokenizers==0.23.1
    cargo build --release
    /tmp/peers/bin/python tests/peers/miditok_roundtrip.py [FOLDER_OF_MIDI [COUNT]]

For many configurations, trained and not:

1. A tokenizer.json of ours makes a MidiTok tokenizer with the same vocabulary; both encode a piece to the same ids.
2. MidiTok decodes those ids to the notes that we decode them to.
3. A tokenizer.json of MidiTok's makes one of ours; both encode a piece to the same ids.
4. Trained on the same files, both learn the same tokens.

Pieces are first decoded by us, so that the order of their notes in the file is the one both keep (src/tokens/miditok).
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
os.environ["HF_HUB_OFFLINE"] = "1"

import miditok
from symusic import Score

ROOT = Path(__file__).resolve().parents[2]
ETUDE = os.environ.get("ETUDE", str(ROOT / "target/release/etude"))

# Options of ours are options of theirs, by the same names; a beat_res is written in another way.
FULL = {"use_programs": True, "use_tempos": True}
VARIETY = {
    "programs": {"use_programs": True},
    "programs, tempi": FULL,
    "log tempi": {**FULL, "log_tempos": True, "num_tempos": 20, "tempo_range": [30, 300]},
    "coarse": {**FULL, "beat_res": {"0_2": 4, "2_8": 2}, "num_velocities": 7},
    "metres": {"use_programs": True, "time_signature_range": {"4": [4, 3, 2], "2": [2], "16": [3, 9]}},
    "no metres": {"use_programs": True, "use_time_signatures": False},
    "no velocities": {"use_programs": True, "use_velocities": False},
    "drums as pitches": {"use_programs": True, "use_pitchdrum_tokens": False, "pitch_range": [30, 90]},
    "no duplicates": {**FULL, "remove_duplicated_notes": True},
    "one voice": {"remove_duplicated_notes": True},
}
CLASSES = {"remi": miditok.REMI, "tsd": miditok.TSD, "midi_like": miditok.MIDILike}

SCRIPT = """
let job = parse_json(args[0]);
let tok = if "load" in job { tokenizer(job.load) } else { tokenizer(job.scheme, job.options) };
if "train" in job { tok.train_bpe(job.train, job.size); }
if "save" in job { tok.save(job.save); }
for i in 0..job.files.len {
    let ids = tok.encode(midi(job.files[i]));
    if "out" in job {
        tok.decode(ids).save(job.out[i]);
        // Notes of one pitch that overlap in a channel come back from a file with other ends.
        ids = tok.encode(midi(job.out[i]));
    }
    print(`${ids}`);
}
"""


def etude(folder, **job):
    """The ids that we give to the files of a job."""
    script = folder / "job.rhai"
    script.write_text(SCRIPT)
    done = subprocess.run([ETUDE, "run", str(script), json.dumps(job)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{job}\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]


def config(options):
    options = dict(options)
    if "beat_res" in options:
        options["beat_res"] = {tuple(map(int, k.split("_"))): v for k, v in options["beat_res"].items()}
    if "time_signature_range" in options:
        # Maps of scripts are sorted by their keys, and the order is that of the tokens.
        options["time_signature_range"] = {int(k): v for k, v in sorted(options["time_signature_range"].items())}
    for key in ("pitch_range", "tempo_range"):
        if key in options:
            options[key] = tuple(options[key])
    return miditok.TokenizerConfig(**options)


def ids_of(tokenizer, path):
    """MidiTok's ids of a file; without programs of its one track, or none."""
    made = tokenizer(Score(str(path)))
    if isinstance(made, list):
        return made[0].ids if len(made) == 1 else None
    return made.ids


def notes(score):
    return sorted(
        (t.is_drum, 0 if t.is_drum else t.program, n.time / score.ticks_per_quarter, n.pitch, n.velocity,
         n.duration / score.ticks_per_quarter) for t in score.tracks for n in t.notes
    )


def compare(what, theirs, paths, ours):
    """How many pieces both spell alike; what differs in the rest."""
    same = total = 0
    for path, ids in zip(paths, ours):
        got = ids_of(theirs, path)
        if got is None:
            continue
        total += 1
        if got == ids:
            same += 1
        else:
            at = next((i for i, (a, b) in enumerate(zip(got, ids)) if a != b), min(len(got), len(ids)))
            print(f"  {what}: {Path(path).name} differs at {at} of {len(ids)}: theirs {got[at:at + 6]}, ours {ids[at:at + 6]}")
    assert total, what
    return same, total


def check(folder, name, scheme, options, files):
    label = f"{scheme}, {name}"
    ours_json, theirs_json = folder / "ours.json", folder / "theirs.json"
    out = [str(folder / f"{i}.mid") for i in range(len(files))]
    ours = etude(folder, scheme=scheme, options=options, files=files, out=out, save=str(ours_json))
    theirs = CLASSES[scheme](params=ours_json)
    made = CLASSES[scheme](config(options))
    assert theirs.vocab == made.vocab, f"{label}: the vocabularies differ"
    same, total = compare(label, theirs, out, ours)
    for path, ids in zip(out, ours):
        decoded = theirs.decode(miditok.TokSequence(ids=ids) if theirs.one_token_stream else [miditok.TokSequence(ids=ids)])
        if options.get("use_programs"):
            mine = Score(path)
            assert notes(decoded) == notes(mine), f"{label}: {path} decodes to other notes"
    made.save(theirs_json)
    assert etude(folder, load=str(theirs_json), files=out) == ours, f"{label}: their file makes another tokenizer"

    size = len(made.vocab) + 400
    trained_json = folder / "trained.json"
    trained = etude(folder, scheme=scheme, options=options, train=out, size=size, files=out, save=str(trained_json))
    theirs = CLASSES[scheme](params=trained_json)
    assert len(theirs) == size, (len(theirs), size)
    same_bpe, total_bpe = compare(f"{label}, BPE", theirs, out, trained)
    decode = lambda ids: miditok.TokSequence(ids=ids, are_ids_encoded=True)
    for ids, plain in zip(trained, ours):
        seq = decode(ids)
        theirs.decode_token_ids(seq)
        assert seq.ids == plain, f"{label}: BPE decodes to other tokens"
    if options.get("use_programs"):
        made.train(size, files_paths=out)
        made.save(theirs_json)
        learned = made._model.get_vocab() == theirs._model.get_vocab()
        again = etude(folder, load=str(theirs_json), files=out)
        same_back, total_back = compare(f"{label}, their BPE", made, out, again)
        extra = f"; trained by them {same_back}/{total_back}, the same vocabulary: {learned}"
        fine = same_back == total_back and (learned or same < total)
    else:
        extra, fine = "", True
    print(f"{label}: {same}/{total} pieces, with BPE {same_bpe}/{total_bpe}{extra}", flush=True)
    return fine and same == total and same_bpe == total_bpe


def main():
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "examples/midi"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 12
    files = sorted(map(str, (p for p in source.rglob("*") if p.suffix.lower() in (".mid", ".midi"))))
    files = files[:: max(1, len(files) // count)][:count]
    assert files, f"no MIDI files in {source}"
    fine = True
    with tempfile.TemporaryDirectory() as folder:
        for scheme in CLASSES:
            for name, options in VARIETY.items():
                fine &= check(Path(folder), name, scheme, options, files)
            for split in ("beat", "no"):
                fine &= check(Path(folder), f"cut: {split}", scheme, {**FULL, "encode_ids_split": split}, files)
    print("ok" if fine else "there are differences")
    sys.exit(not fine)


if __name__ == "__main__":
    main()
