"""Tracked runs against the real trackers. Opt-in: it is not part of `cargo test`.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install tensorboard==2.21.0 wandb==0.31.0 mlflow==3.17.2
    cargo build --release
    /tmp/peers/bin/python tests/peers/tracking.py [FOLDER OF MIDI]        (examples/midi)

ETUDE names another binary. Two runs, one of 3000 steps written by a script and one of `etude train` on the MIDI:
1. TensorBoard's EventAccumulator reads numbers, texts, pictures and sound.
2. `wandb leet inspect [--summary] [--json]` reads every record, `wandb sync --dry-run` takes the run, and its media lie
   where it says.
3. A real `mlflow server` on loopback shows the run: parameters, metrics, files, its end.
4. No dead tracker stops a run: a server killed in the middle, files that cannot grow, folders that cannot be made.

What is not installed is reported and skipped.
"""

import hashlib
import importlib.util
import json
import math
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ETUDE = os.environ.get("ETUDE", str(ROOT / "target/release/etude"))
MIDI = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "examples/midi"
STEPS = 3000
TRAINED = ["loss", "lr", "grad_norm", "tokens_per_second"]
SYSTEM = ["system/cpu", "system/process_cpu", "system/memory", "system/process_memory_mb"]
BIN = Path(sys.executable).parent

SCRIPT = """
let job = parse_json(args[0]);
let r = run("solo", #{
    dir: job.dir, sinks: job.sinks, project: "peers", tags: ["a", "b"], notes: "a note",
    config: #{ lr: 0.5, lora: #{ r: 16 }, base: "small" },
});
for step in 1..=job.steps {
    let values = #{ loss: 10.0 / step, "eval/accuracy": step * 1.0 };
    if step == 7 { values.never = 0.0 / 0.0; }
    r.log(step, values);
}
let solo = chords("Dm7 G7 Cmaj7").score();
r.log(job.steps, #{ words: "swing, with a bar line |", solo: solo, sound: solo.audio() });
r.finish();
"""


def call(command, **more):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600, **more)


def scripted(folder, sinks, env=None, limit=None):
    """A run of a script; `limit` is the most bytes a file may have."""
    script = folder / "run.rhai"
    script.write_text(SCRIPT)
    job = json.dumps({"dir": str(folder / "experiments"), "sinks": sinks, "steps": STEPS})

    def small_disk():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    more = {"preexec_fn": small_disk} if limit else {}
    done = call([ETUDE, "run", script, job], env={**os.environ, **(env or {})}, **more)
    assert done.returncode == 0, done.stderr
    assert limit or "left out" not in done.stderr, done.stderr
    return done.stderr


def train(out, *more, env=None, wait=True):
    """A short `etude train` with samples; what it says."""
    words = "--config configs/qlora_fast.yaml --max_steps 12 --warmup_steps 1 --max_seq_len 96 --batch_size 2"
    words += " --eval_every 4 --eval_batches 2 --sample_every 6 --sample_tokens 96 --checkpoint_every 0 --augment.sample 1"
    command = [ETUDE, "train", "--data_dir", str(MIDI), "--output_dir", str(out), *words.split(), *more]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **(env or {})}
    )
    if not wait:
        return process
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output
    return output


def lines(run):
    values = {}
    for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()):
        for name, value in line.items():
            if name not in ("step", "time", "media"):
                values.setdefault(name, {})[line["step"]] = value
    return values


def tensorboard(run, trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    everything = {"scalars": 0, "tensors": 0, "images": 0, "audio": 0}
    events = EventAccumulator(str(run), size_guidance=everything)
    events.Reload()
    tags, expected = events.Tags(), lines(run)
    assert sorted(tags["scalars"]) == sorted(expected), (tags["scalars"], sorted(expected))
    count = 0
    for name in tags["scalars"]:
        there = {event.step: event.value for event in events.Scalars(name)}
        assert there.keys() == expected[name].keys(), name
        for step, value in expected[name].items():
            same = math.isnan(there[step]) if value is None else math.isclose(there[step], value, rel_tol=1e-6, abs_tol=1e-30)
            assert same, (name, step, there[step], value)
        count += len(there)
    text = lambda tag: events.Tensors(tag)[0].tensor_proto.string_val[0].decode()
    if trained:
        image, sound = events.Images("sample_roll")[-1], events.Audio("sample_audio")[-1]
        assert image.encoded_image_string[:8] == b"\x89PNG\r\n\x1a\n" and image.width > 100 and image.height > 50
        assert sound.encoded_audio_string[:4] == b"RIFF" and sound.sample_rate == 24000
        assert (run / "media" / f"sample_roll_{image.step:06}.png").read_bytes() == image.encoded_image_string
        assert "lr: " in text("config/text_summary")
    else:
        assert text("words/text_summary") == "swing, with a bar line |"
        assert "lr: 0.5" in text("config/text_summary")
        assert text("solo/text_summary").endswith("solo_003000.mid`")
    print(f"tensorboard: EventAccumulator reads {count} numbers of {len(tags['scalars'])} names, images {tags['images']}, audio {tags['audio']}")


def wandb(run, trained):
    offline = (run / "wandb/latest-run").resolve()
    file = next(offline.glob("run-*.wandb"))
    env = {**os.environ, "WANDB_MODE": "offline", "WANDB_API_KEY": "0" * 40, "HOME": str(run)}
    leet = lambda *more: call([BIN / "wandb", "leet", "inspect", *more, file], env=env)
    done = leet("--json")
    assert done.returncode == 0 and "corrupt" not in done.stderr, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [record["type"] for record in records]
    # The header is read, but not listed.
    assert "run" in kinds[:2] and kinds[-2:] == ["summary", "exit"], (kinds[:3], kinds[-3:])
    assert [r["num"] for r in records] == list(range(records[0]["num"], records[0]["num"] + len(records)))
    expected, steps = lines(run), {}
    for record in (r for r in records if r["type"] == "history"):
        item = record["history"]["item"]
        assert item["_step"] == int(record["history"]["step"]["num"])
        steps[item["_step"]] = item["loss"] if "loss" in item else None
    assert {step: loss for step, loss in steps.items() if loss is not None} == expected["loss"]
    files = [f["path"] for r in records if r["type"] == "files" for f in r["files"]["files"]]
    assert files and all((offline / "files" / path).is_file() for path in files), files
    done = leet("--summary", "--json")
    assert done.returncode == 0 and "corrupt" not in done.stderr, done.stderr
    summary = json.loads(done.stdout)
    assert summary["state"] == "finished" and summary["exit_code"] == 0, summary
    media = {name: value for name, value in summary["summary"].items() if isinstance(value, dict)}
    for name, value in media.items():
        path = offline / "files" / value["path"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == value["sha256"], name
    if trained:
        assert summary["project"] == "peers" and set(media) == {"sample", "sample_roll", "sample_audio"}, summary
        assert [media[n]["_type"] for n in ("sample", "sample_roll", "sample_audio")] == ["file", "image-file", "audio-file"]
        assert summary["config"]["lora"]["r"] == 8 and not set(TRAINED + SYSTEM) - set(summary["summary"]), summary
    else:
        assert file.stat().st_size > 3 * 32 * 1024, "several blocks"
        assert summary["tags"] == ["a", "b"] and summary["notes"] == "a note"
        assert summary["config"] == {"lr": 0.5, "lora": {"r": 16}, "base": "small"}, summary
    print(f"wandb leet inspect: {len(records)} records, {len(steps)} steps, media {sorted(media)}")
    done = call([BIN / "wandb", "sync", "--dry-run", offline], env=env)
    output = (done.stdout + done.stderr).strip()
    assert done.returncode == 0 and "Would sync 1 run" in output and file.name in output, output
    print("wandb sync --dry-run:", output.splitlines()[0])


class Mlflow:
    """A server on loopback."""

    def __init__(self, folder):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.uri = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "artifacts")]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, start_new_session=True
        )
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=2)
                return
            except OSError:
                time.sleep(1)
        self.kill()
        sys.exit("the MLflow server does not begin")

    def get(self, call, body=None):
        request = urllib.request.Request(f"{self.uri}/api/2.0/{call}", body and json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        return urllib.request.urlopen(request, timeout=30).read()

    def run(self, experiment):
        found = json.loads(self.get(f"mlflow/experiments/get-by-name?experiment_name={experiment}"))
        body = {"experiment_ids": [found["experiment"]["experiment_id"]]}
        return json.loads(self.get("mlflow/runs/search", body))["runs"]

    def history(self, run, name):
        metric = urllib.parse.quote(name, safe="")
        answer = self.get(f"mlflow/metrics/get-history?run_id={run['info']['run_id']}&metric_key={metric}&max_results=25000")
        return {m["step"]: float(m["value"]) for m in json.loads(answer)["metrics"]}

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def mlflow(server, folder, out):
    (run,) = server.run("peers")
    params = {p["key"]: p["value"] for p in run["data"]["params"]}
    assert params["lora.r"] == "8" and params["batch_size"] == "2" and params["max_steps"] == "12", params
    assert run["info"]["status"] == "FINISHED" and run["info"]["run_name"] == out.name, run["info"]
    expected = lines(out)
    for name, values in expected.items():
        there = server.history(run, name)
        assert there.keys() == values.keys() and all(math.isclose(there[s], v) for s, v in values.items()), name
    path = urllib.parse.urlparse(run["info"]["artifact_uri"]).path.lstrip("/")
    listed = json.loads(server.get(f"mlflow/artifacts/list?run_id={run['info']['run_id']}&path=media"))["files"]
    assert {Path(f["path"]).suffix for f in listed} == {".mid", ".png", ".wav"}, listed
    for f in listed:
        sent = server.get(f"mlflow-artifacts/artifacts/{path}/{f['path']}")
        assert sent == (out / f["path"]).read_bytes(), f
    print(f"mlflow server: {len(params)} parameters, {len(expected)} metrics, {len(listed)} files, as in the run")


def dead(folder, server):
    """What is dead stops nothing."""
    output = scripted(folder / "full", ["tensorboard", "wandb"], limit=60_000)
    gone = [name for name in ("jsonl", "tensorboard", "wandb") if f"{name} is left out" in output]
    assert gone == ["jsonl", "tensorboard", "wandb"] and output.count("left out") <= 5, output
    print(f"files that cannot grow: {', '.join(gone)} are left out, the run ends well")
    out = folder / "walls"
    out.mkdir()
    (out / "wandb").write_text("in the way")
    (out / "media").write_text("in the way")
    output = train(out, "--wandb_project", "peers")
    assert "wandb is left out" in output and "the sample" in output, output
    assert sorted(lines(out)["loss"]) == list(range(1, 13))
    print("folders that cannot be made: the run trains on")
    if server:
        out = folder / "orphan"
        env = {"MLFLOW_TRACKING_URI": server.uri}
        process = train(out, "--track", "mlflow", "--max_steps", "60", env=env, wait=False)
        while not (out / "metrics.jsonl").exists() or len((out / "metrics.jsonl").read_text().splitlines()) < 3:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        server.kill()
        output, _ = process.communicate(timeout=900)
        assert process.returncode == 0 and "mlflow is left out from here on" in output, output
        assert sorted(lines(out)["loss"]) == list(range(1, 61))
        assert json.loads((out / "run.json").read_text())["status"] == "finished"
        print("a server killed in the middle: the run trains on to its end")


def main():
    sys.stdout.reconfigure(line_buffering=True)
    has = lambda name: importlib.util.find_spec(name) is not None
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "full").mkdir()
        scripted(folder, ["tensorboard", "wandb"])
        server = Mlflow(folder) if has("mlflow") and has("flask") else None
        try:
            out = folder / "trained"
            sinks = "tensorboard,mlflow" if server else "tensorboard"
            env = {"MLFLOW_TRACKING_URI": server.uri} if server else {}
            output = train(out, "--wandb_project", "peers", "--track", sinks, env=env)
            assert "left out" not in output, output
            missing = set(TRAINED + SYSTEM + ["val_loss"]) - set(lines(out))
            assert not missing, missing
            for name, check in (("tensorboard", tensorboard), ("wandb", wandb)):
                if not has(name):
                    print(f"{name}: not installed")
                    continue
                check(folder / "experiments/solo", False)
                check(out, True)
            mlflow(server, folder, out) if server else print("mlflow: not installed")
            dead(folder, server)
        finally:
            if server and server.process.poll() is None:
                server.kill()
    print("ok")


if __name__ == "__main__":
    main()
