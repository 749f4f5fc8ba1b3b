"""Tracked runs against the real trackers. Opt-in: it is no part of `cargo test`.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install tensorboard==2.21.0 wandb==0.31.0 mlflow==3.17.2
    cargo build --release
    /tmp/peers/bin/python tests/peers/tracking.py

1. TensorBoard's EventAccumulator reads the numbers and the texts of a run of ours.
2. `wandb leet inspect` and `wandb sync --dry-run` take the offline run, of many blocks; W&B's own reader finds every step.
3. A real `mlflow server` on loopback shows the run: parameters, metrics, the file, its end.

What is not installed is said and passed over.
"""

import importlib.util
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ETUDE = os.environ.get("ETUDE", str(ROOT / "target/release/etude"))
STEPS = 3000
BIN = Path(sys.executable).parent

SCRIPT = """
let job = parse_json(args[0]);
let r = run("solo", #{
    dir: job.dir, sinks: job.sinks, mlflow_uri: job.uri, project: "peers", tags: ["a", "b"], notes: "a note",
    config: #{ lr: 0.5, lora: #{ r: 16 }, base: "small" },
});
for step in 1..=job.steps {
    let values = #{ loss: 10.0 / step, "eval/accuracy": step * 1.0 };
    if step == 7 { values.never = 0.0 / 0.0; }
    r.log(step, values);
}
r.log(job.steps, #{ words: "swing, with a bar line |", solo: chords("Dm7 G7 Cmaj7").score() });
r.finish();
print(r.id);
"""


def etude(folder, sinks, uri="http://127.0.0.1:1", steps=STEPS):
    script = folder / "run.rhai"
    script.write_text(SCRIPT)
    job = json.dumps({"dir": str(folder / "experiments"), "sinks": sinks, "uri": uri, "steps": steps})
    done = subprocess.run([ETUDE, "run", str(script), job], capture_output=True, text=True)
    if done.returncode or "left out" in done.stderr:
        sys.exit(f"{done.stdout}{done.stderr}")
    return done.stdout.split()[-1]


def lines(run):
    values = {}
    for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()):
        if "loss" in line:
            values[line["step"]] = line["loss"]
    assert len(values) == STEPS
    return values


def tensorboard(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    tags = events.Tags()
    assert sorted(tags["scalars"]) == ["eval/accuracy", "loss", "never"], tags
    expected = lines(run)
    for event in events.Scalars("loss"):
        assert math.isclose(event.value, expected[event.step], rel_tol=1e-6), event
    assert len(events.Scalars("loss")) == STEPS
    assert math.isnan(events.Scalars("never")[0].value)
    text = lambda tag: events.Tensors(tag)[0].tensor_proto.string_val[0].decode()
    assert text("words/text_summary") == "swing, with a bar line |"
    assert "lr: 0.5" in text("config/text_summary")
    assert text("solo/text_summary").endswith("solo_003000.mid`")
    print("tensorboard: EventAccumulator reads it")


def wandb(run):
    offline = run / "wandb/latest-run"
    file = next(offline.glob("run-*.wandb"))
    assert file.stat().st_size > 3 * 32 * 1024, "several blocks"
    from wandb.proto import wandb_internal_pb2 as pb
    from wandb.sdk.internal import datastore

    store = datastore.DataStore()
    store.open_for_scan(str(file))
    steps, kinds = {}, []
    while (data := store.scan_data()) is not None:
        record = pb.Record()
        record.ParseFromString(data)
        kinds.append(record.WhichOneof("record_type"))
        assert record.num == len(kinds)
        if kinds[-1] == "history":
            items = {item.key: json.loads(item.value_json) for item in record.history.item}
            assert items["_step"] == record.history.step.num
            steps[items["_step"]] = items["loss"]
        if kinds[-1] == "run":
            assert record.run.project == "peers" and list(record.run.tags) == ["a", "b"]
            config = {item.key: json.loads(item.value_json) for item in record.run.config.update}
            assert config == {"lr": 0.5, "lora": {"r": 16}, "base": "small"}, config
    assert steps == lines(run)
    assert kinds[:2] == ["header", "run"] and kinds[-2:] == ["summary", "exit"], (kinds[:3], kinds[-3:])
    print("wandb: its own reader finds every step")
    env = {**os.environ, "WANDB_MODE": "offline", "WANDB_API_KEY": "0" * 40, "HOME": str(run)}
    for command in (["leet", "inspect", "--summary"], ["sync", "--dry-run"]):
        target = file if command[0] == "leet" else offline.resolve()
        done = subprocess.run([BIN / "wandb", *command, str(target)], capture_output=True, text=True, env=env, timeout=120)
        said = (done.stdout + done.stderr).strip()
        assert done.returncode == 0, said
        print(f"wandb {' '.join(command)}:", said.replace("\n", " / ")[-400:])


def mlflow(folder):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    store = f"sqlite:///{folder}/mlflow.db"
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--backend-store-uri", store]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--workers", "1"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
    get = lambda call: json.load(urllib.request.urlopen(f"{uri}/api/2.0/mlflow/{call}", timeout=20))
    try:
        for _ in range(180):
            try:
                urllib.request.urlopen(f"{uri}/health", timeout=2)
                break
            except OSError:
                time.sleep(1)
        etude(folder, ["mlflow"], uri)
        experiment = get("experiments/get-by-name?experiment_name=peers")["experiment"]["experiment_id"]
        body = json.dumps({"experiment_ids": [experiment]}).encode()
        request = urllib.request.Request(
            f"{uri}/api/2.0/mlflow/runs/search", body, {"Content-Type": "application/json"}
        )
        (run,) = json.load(urllib.request.urlopen(request, timeout=20))["runs"]
        params = {p["key"]: p["value"] for p in run["data"]["params"]}
        assert params == {"lr": "0.5", "lora.r": "16", "base": "small"}, params
        assert run["info"]["status"] == "FINISHED" and run["info"]["run_name"].startswith("solo"), run["info"]
        history = get(f"metrics/get-history?run_id={run['info']['run_id']}&metric_key=loss&max_results=25000")["metrics"]
        assert len(history) == STEPS and all(math.isclose(m["value"], 10 / m["step"]) for m in history)
        files = get(f"artifacts/list?run_id={run['info']['run_id']}&path=media")["files"]
        assert any(file["path"].endswith(".mid") for file in files), files
        print("mlflow server: it shows the run")
    finally:
        server.terminate()
        server.wait()


def main():
    has = lambda name: importlib.util.find_spec(name) is not None
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        etude(folder, ["tensorboard", "wandb"])
        run = folder / "experiments/solo"
        for name, check in (("tensorboard", tensorboard), ("wandb", wandb)):
            check(run) if has(name) else print(f"{name}: not installed")
        mlflow(folder) if has("mlflow") and has("flask") else print("mlflow: not installed")
    print("ok")


if __name__ == "__main__":
    main()
