"""Our figures of pieces, of styles and of embeddings against muspy, pretty_midi and SciPy. Opt-in: no part of `cargo test`.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install muspy==0.5.0 scipy==1.17.1
    cargo build --release
    /tmp/peers/bin/python tests/peers/metrics.py [FOLDER ...]        (examples/midi; 40 files of each folder)

ETUDE names another binary. For every file that both read alike:
1. the ten figures of a piece are those of muspy (groove consistency at 4 positions a quarter, as documented);
2. the features of Yang & Lerch, taken by pretty_midi as their mgeval does, give the same overlap area (SciPy's
   gaussian_kde and quad) and KL divergence (entropy of 1000 points) for two halves of the files;
3. the Fréchet distance of the base model's embeddings is that of scipy.linalg.sqrtm.
Files with pedal are left out of 2: a piano roll of pretty_midi holds notes by it, and so do we, in another way.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import muspy
import numpy as np
import pretty_midi
from scipy import integrate, linalg, stats

ROOT = Path(__file__).resolve().parents[2]
ETUDE = os.environ.get("ETUDE", str(ROOT / "target/release/etude"))
MOST = int(os.environ.get("MOST", "40"))
warnings.filterwarnings("ignore")

SCRIPT = """
let job = parse_json(read(args[0]));
let all = [];
for file in job.files {
    let score = midi(file);
    let f = figures(score);
    for key in f.keys() { if f[key].is_nan() { f[key] = () } }
    all.push(f);
}
let out = #{ figures: all };
if job.half > 1 {
    let scores = job.files.map(|file| midi(file));
    let net = load_model("base");
    let s = style(scores.extract(0..job.half), scores.extract(job.half..), net);
    for map in [s.overlap, s.kl] { for key in map.keys() { if map[key].is_nan() { map[key] = () } } }
    out.overlap = s.overlap; out.kl = s.kl; out.frechet = s.frechet;
    out.embeddings = scores.map(|score| net.embed(score));
}
write(args[1], to_json(out));
"""


def etude(files, half):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "run.rhai").write_text(SCRIPT)
        (folder / "job.json").write_text(json.dumps({"files": [str(f) for f in files], "half": half}))
        command = [ETUDE, "run", str(folder / "run.rhai"), str(folder / "job.json"), str(folder / "out.json")]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        return json.loads((folder / "out.json").read_text())


def by_muspy(path):
    music = muspy.read_midi(path)
    coarse = muspy.read_midi(path)
    for track in music.tracks + coarse.tracks:
        track.annotations = []  # a pedal that moves after the last note would make the piece longer
    # Halves up, as documented; adjust_resolution would round them to even.
    coarse.adjust_time(lambda t: (2 * 4 * t + music.resolution) // (2 * music.resolution))
    notes = [n for t in music.tracks if not t.is_drum for n in t.notes]
    return {
        "notes": len(notes),
        "pitches": muspy.n_pitches_used(music),
        "pitch_classes": muspy.n_pitch_classes_used(music),
        "pitch_range": muspy.pitch_range(music),
        "pitch_class_entropy": muspy.pitch_class_entropy(music),
        "scale_consistency": muspy.scale_consistency(music),
        "groove_consistency": muspy.groove_consistency(coarse, 16),
        "polyphony": muspy.polyphony(music),
        "polyphony_rate": muspy.polyphony_rate(music),
        "empty_beat_rate": muspy.empty_beat_rate(music),
    }


def features(path, polyphony):
    """As mgeval's core.py takes them; of chords, the lower note comes first, of unisons that of the first track."""
    midi = pretty_midi.PrettyMIDI(str(path))
    notes = [(n.start, n.pitch, n.end) for i in midi.instruments if not i.is_drum for n in i.notes]
    notes.sort(key=lambda note: note[:2])
    pitches = np.array([n[1] for n in notes])
    onsets = np.array([n[0] for n in notes])
    roll = midi.get_piano_roll(fs=100).sum(axis=1)
    histogram = np.array([roll[c::12].sum() for c in range(12)])
    meter = midi.time_signature_changes[0] if midi.time_signature_changes else None
    quarters = 4 * meter.numerator / meter.denominator if meter else 4
    unit = quarters * midi.resolution / 96
    classes = unit * np.array([96, 48, 24, 12, 6, 72, 36, 18, 9, 32, 16, 8])
    ticks = [midi.time_to_tick(e) - midi.time_to_tick(s) for s, _, e in notes]
    lengths = [int(np.argmin(np.abs(classes - t))) for t in ticks]
    length_histogram = np.bincount(lengths, minlength=12).astype(float)
    length_transition = np.zeros((12, 12))
    for a, b in zip(lengths, lengths[1:]):
        length_transition[a, b] += 1
    return {
        "pitch_count": len(set(pitches)),
        "pitch_range": pitches.max() - pitches.min(),
        "pitch_interval": np.abs(np.diff(pitches)).mean(),
        "pitch_class_histogram": histogram / histogram.sum(),
        "pitch_class_transition": midi.get_pitch_class_transition_matrix(),
        "note_count": len(notes),
        "inter_onset_interval": np.diff(onsets).mean(),
        "note_length_histogram": length_histogram / length_histogram.sum(),
        "note_length_transition": length_transition,
        "polyphony": polyphony,
    }


def distances(pieces, corpus, name):
    flat = lambda f: np.atleast_1d(np.asarray(f[name], dtype=float)).ravel()
    a = [np.linalg.norm(flat(x) - flat(y)) for i, x in enumerate(corpus) for j, y in enumerate(corpus) if i != j]
    b = [np.linalg.norm(flat(x) - flat(y)) for x in pieces for y in corpus]
    return np.array(a), np.array(b)


def overlap_area(a, b):
    p, q = stats.gaussian_kde(a), stats.gaussian_kde(b)
    low, high = min(a.min(), b.min()), max(a.max(), b.max())
    return integrate.quad(lambda x: min(p(x)[0], q(x)[0]), low, high, limit=400)[0]


def kl_dist(a, b, n=1000):
    p, q = stats.gaussian_kde(a), stats.gaussian_kde(b)
    return stats.entropy(p(np.linspace(a.min(), a.max(), n)), q(np.linspace(b.min(), b.max(), n)))


def frechet(a, b):
    covariance = lambda x: np.cov(x, rowvar=False)
    root = linalg.sqrtm(covariance(a) @ covariance(b))
    d = a.mean(0) - b.mean(0)
    return d @ d + np.trace(covariance(a)) + np.trace(covariance(b)) - 2 * np.trace(np.real(root))


def near(ours, theirs):
    if ours is None:
        return 0.0 if not np.isfinite(theirs) else math.inf
    return abs(ours - theirs) / max(1.0, abs(theirs))


def pieces_agree(files, ours):
    worst, alike = {}, []
    for at, (path, mine) in enumerate(zip(files, ours)):
        try:
            theirs = by_muspy(path)
        except Exception as error:
            print(f"   {path.name}: muspy does not read it ({error})")
            continue
        if theirs["notes"] != mine["notes"]:
            # A note that is struck again while it sounds, or never ends, is read in different ways.
            continue
        alike.append(at)
        for name, value in theirs.items():
            worst[name] = max(worst.get(name, (0.0, "")), (near(mine[name], value), path.name))
    print(f"1. pieces: {len(alike)} of {len(files)} files have as many notes in both readers; greatest differences:")
    for name, (difference, path) in worst.items():
        print(f"   {name:20} {difference:.1e}  {path if difference > 1e-9 else ''}")
    bad = {name: d for name, (d, _) in worst.items() if d > 1e-9}
    return alike, bad


def main():
    sys.stdout.reconfigure(line_buffering=True)
    folders = [Path(a) for a in sys.argv[1:]] or [ROOT / "examples/midi"]
    failures = {}
    for folder in folders:
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".mid", ".midi"))[:MOST]
        print(f"== {folder}: {len(files)} files")
        alike, bad = pieces_agree(files, etude(files, 0)["figures"])
        failures.update({f"{folder}: {name}": value for name, value in bad.items()})
        pedal = lambda path: any(c.number == 64 for i in pretty_midi.PrettyMIDI(str(path)).instruments for c in i.control_changes)
        chosen = [files[at] for at in alike if not pedal(files[at])]
        half = len(chosen) // 2
        if half < 3:
            print("2. style: too few files without pedal")
            continue
        mine = etude(chosen, half)
        taken = [features(path, mine["figures"][at]["polyphony"]) for at, path in enumerate(chosen)]
        print(f"2. style of {half} files against {len(chosen) - half}: overlap and KL, ours and SciPy's")
        for name, overlap in mine["overlap"].items():
            a, b = distances(taken[:half], taken[half:], name)
            if overlap is None:
                assert a.std() == 0 or b.std() == 0, name
                continue
            area, kl = overlap_area(a, b), kl_dist(a, b)
            print(f"   {name:24} {overlap:.6f} {area:.6f}   {mine['kl'][name]:.6f} {kl:.6f}")
            # A note that begins on the border of a frame of the roll may fall on either side: seconds are floats.
            loose = 5 if name == "pitch_class_histogram" else 1
            if abs(overlap - area) > 2e-4 * loose or near(mine["kl"][name], kl) > (1e-3 if loose > 1 else 1e-6):
                failures[f"{folder}: {name}"] = (overlap, area, mine["kl"][name], kl)
        vectors = np.array(mine["embeddings"])
        theirs = frechet(vectors[:half], vectors[half:])
        print(f"3. Fréchet distance of {vectors.shape[1]} dimensions: {mine['frechet']:.8f}, sqrtm {theirs:.8f}")
        if near(mine["frechet"], theirs) > 1e-3:
            failures[f"{folder}: frechet"] = (mine["frechet"], theirs)
    if failures:
        sys.exit(f"differences: {failures}")
    print("ok")


if __name__ == "__main__":
    main()
