"""Our sweeps against W&B's own engine, the package `sweeps`. Opt-in: no part of `cargo test`.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install 'numpy<2' sweeps==0.3.0
    /tmp/peers/bin/python tests/peers/sweeps.py [FOLDER OF RUNS ...]

Many random sweeps, of which
1. grids give the same trials in the same order, one after the other, to the end;
2. hyperband stops the same trials, whatever their histories; and those of real runs, when folders of them are given:
   their losses are cut at many lengths, as a sweep sees them on its way;
3. every distribution has the same quantiles.
The library answers through an ignored test of ours (tests/it/peers.rs), so that nothing is in between.
"""

import json
import math
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

# This file has the name of the package.
sys.path = [folder for folder in sys.path if Path(folder or ".").resolve() != Path(__file__).resolve().parent]

import numpy as np
import sweeps
from sweeps.params import HyperParameter

ROOT = Path(__file__).resolve().parents[2]
GRIDS, RACES, REAL, QUANTILES = 300, 3000, 2000, 400


def value(rng, deep=0):
    kinds = [
        lambda: rng.randint(-3, 5),
        lambda: rng.choice([0.5, 1.0, 1e-4, 3e6, -2.0, 0.1]),
        lambda: rng.choice(["a", "b", "adamw", "1", ""]),
        lambda: rng.choice([True, False, None]),
    ]
    if deep < 2:
        kinds += [lambda: [value(rng, 2) for _ in range(rng.randint(0, 3))], lambda: {"k": value(rng, 2), "j": value(rng, 2)}]
    return rng.choice(kinds)()


def parameter(rng, deep):
    kind = rng.random()
    if deep < 2 and kind < 0.15:
        return {"parameters": parameters(rng, deep + 1)}
    if kind < 0.3:
        return {"value": value(rng)}
    if kind < 0.45:
        low = rng.randint(-2, 3)
        return {"min": low, "max": low + rng.randint(1, 3), **rng.choice([{}, {"distribution": "int_uniform"}])}
    if kind < 0.6:
        whole = rng.random() < 0.5
        low, q = (rng.randint(-2, 2), rng.randint(1, 2)) if whole else (rng.choice([0.1, -1.0, 2]), rng.choice([0.1, 0.3, 0.7]))
        return {"distribution": "q_uniform", "min": low, "max": low + q * rng.choice([1, 1.5, 2, 3.3]), **rng.choice([{"q": q}])}
    values = [value(rng) for _ in range(rng.randint(1, 4))]
    return {"values": values, **rng.choice([{}, {"distribution": "categorical"}])}


def parameters(rng, deep=0):
    names = ["lr", "r", "B", "a", "Z_2", "_x", "lora-alpha", "a.b", "aa", "augment"]
    return {name: parameter(rng, deep) for name in rng.sample(names, rng.randint(1, 3))}


def theirs_grid(config, most):
    runs, points = [], []
    while len(points) < most:
        run = sweeps.next_run(config, runs)
        if run is None:
            break
        points.append({key: entry["value"] for key, entry in run.config.items()})
        run.state = sweeps.RunState.finished
        runs.append(run)
    return points


def same(a, b):
    """Equal, and of one kind: 1 is not True, but 1.0 is 1."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def band(rng):
    eta = rng.choice([2, 3, 3, 4, 1.5, 2.5, 7, 49])
    if rng.random() < 0.5:
        bands = {"min_iter": rng.randint(1, 5)}
    else:
        bands = {"max_iter": rng.choice([27, 81, 100, 64, 1000]), "s": rng.randint(1, 5)}
        if bands["max_iter"] / eta < 1:
            bands = {"min_iter": 1}
    more = rng.choice([{}, {"strict": True}, {"strict": False}])
    return {"type": "hyperband", "eta": eta, **bands, **more} if rng.random() < 0.8 else {"type": "hyperband", **bands, **more}


def race(rng, histories):
    goal = rng.choice([{}, {"goal": "minimize"}, {"goal": "maximize"}])
    config = {
        "method": "random",
        "metric": {"name": "m", **goal},
        "parameters": {"x": {"min": 0.0, "max": 1.0}},
        "early_terminate": band(rng),
    }
    runs = [{"values": values, "running": rng.random() < 0.6} for values in histories]
    return {"stop": config, "runs": runs}


def made_up(rng):
    one = lambda: rng.choice([rng.gauss(0, 1), float(rng.randint(0, 3)), float(rng.randint(0, 3)), None if rng.random() < 0.1 else 1.0])
    return [[one() for _ in range(rng.choice([0, 1, 2, 3, 5, 9, 30]))] for _ in range(rng.randint(1, 12))]


def theirs_stop(job):
    state = {True: sweeps.RunState.running, False: sweeps.RunState.finished}
    number = lambda v: float("nan") if v is None else v
    runs = [
        sweeps.SweepRun(name=str(i), state=state[r["running"]], history=[{"m": number(v)} for v in r["values"]])
        for i, r in enumerate(job["runs"])
    ]
    return sorted(int(run.name) for run in sweeps.stop_runs(job["stop"], runs))


def real_histories(folders):
    curves = []
    for folder in folders:
        for path in sorted(Path(folder).rglob("metrics.jsonl")):
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            for name in ("val_loss", "loss"):
                curve = [line[name] for line in lines if name in line]
                if len(curve) > 3:
                    curves.append(curve)
    return curves


def distribution(rng):
    low = rng.choice([0.001, 0.5, 1.0, 2])
    high = low + rng.choice([0.5, 3, 40.0])
    q = rng.choice([{}, {"q": 0.25}, {"q": 2}])
    mu = {"mu": rng.choice([0, 1.5, -2]), "sigma": rng.choice([0.3, 1, 2])}
    ab = {"a": rng.choice([0.5, 1, 2, 5.5]), "b": rng.choice([0.5, 1, 3, 7])}
    between = {"min": low, "max": high}
    weights = rng.choice([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0], [0.1, 0.1, 0.8]])
    return rng.choice(
        [
            {"distribution": "uniform", **between},
            {"min": float(low), "max": high},
            {"distribution": "q_uniform", **between, **q},
            {"distribution": "log_uniform", **between},
            {"distribution": "log_uniform_values", **between},
            {"distribution": "q_log_uniform", "min": low, "max": low + 3, **q},
            {"distribution": "q_log_uniform_values", **between, **q},
            {"distribution": "inv_log_uniform", **between},
            {"distribution": "inv_log_uniform_values", **between},
            {"distribution": "normal", **mu},
            {"distribution": "q_normal", **mu, **q},
            {"distribution": "log_normal", **mu},
            {"distribution": "q_log_normal", **mu, **q},
            {"distribution": "beta", **ab},
            {"distribution": "q_beta", **ab, "q": 0.125},
            {"distribution": "int_uniform", "min": -3, "max": 11},
            {"min": 1, "max": 6},
            {"values": ["a", "b", "c"]},
            {"values": ["a", "b", "c"], "probabilities": weights, "distribution": "categorical_w_probabilities"},
        ]
    )


def plain(x):
    return x.item() if isinstance(x, (np.generic, np.ndarray)) else x


def ask(jobs):
    """Our library's answers."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "sweeps.json").write_text(json.dumps(jobs))
        command = ["cargo", "test", "--quiet", "--test", "it", "peers::answer_about_sweeps", "--", "--ignored", "--exact"]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, "ETUDE_PEERS": folder}, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        return json.loads((Path(folder) / "answers.json").read_text())


def main():
    rng = random.Random(7)
    grids = [{"grid": {"method": "grid", "parameters": parameters(rng)}, "most": 60} for _ in range(GRIDS)]
    races = [race(rng, made_up(rng)) for _ in range(RACES)]
    curves = real_histories(sys.argv[1:])
    real = []
    while curves and len(real) < REAL:
        chosen = [rng.choice(curves) for _ in range(rng.randint(2, 8))]
        real.append(race(rng, [curve[: rng.randint(0, len(curve))] for curve in chosen]))
    draws = [{"quantiles": distribution(rng), "at": [rng.random() for _ in range(8)]} for _ in range(QUANTILES)]
    answers = iter(ask(grids + races + real + draws))

    points = 0
    for job in grids:
        ours, theirs = next(answers), theirs_grid(job["grid"], job["most"])
        assert len(ours) == len(theirs) and all(map(same, ours, theirs)), (job, ours, theirs)
        points += len(theirs)
    print(f"1. {len(grids)} grids, {points} trials: the same, in the same order")
    for name, jobs in (("made up", races), (f"of {len(curves)} real curves", real)):
        stops = 0
        for job in jobs:
            ours, theirs = next(answers), theirs_stop(job)
            assert ours == theirs, (job, ours, theirs)
            stops += len(theirs)
        print(f"2. {len(jobs)} races {name}: the same {stops} trials are stopped")
    worst = 0.0
    for job in draws:
        ours = next(answers)
        theirs = HyperParameter("x", job["quantiles"])
        for mine, u in zip(ours, job["at"]):
            wanted = plain(theirs.ppf(u))
            if isinstance(wanted, str) or isinstance(mine, str):
                assert mine == wanted, (job, mine, wanted)
            else:
                off = abs(mine - wanted) / max(abs(wanted), 1e-9)
                worst = max(worst, off)
                assert off < 1e-6 and not math.isnan(mine), (job, u, mine, wanted)
    print(f"3. {8 * len(draws)} quantiles: the same to {worst:.1e}")
    print("ok")


if __name__ == "__main__":
    main()
