#!/usr/bin/env bash
# Ranks over MPI: two and four train to the losses of one process, a killed one ends all with a checkpoint.
#   bash tests/peers/mpi.sh            needs Open MPI and libclang (Debian: libopenmpi-dev openmpi-bin libclang-dev)
set -euo pipefail
cd "$(dirname "$0")/../.."
# As the tests build it, so that what they have built serves.
cargo test --locked --features mpi --test it --no-run "$@"
etude=$PWD/${CARGO_TARGET_DIR:-target}/debug/etude
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir midi
"$etude" -e 'for i in 0..5 { chords("Dm7 G7 Cmaj7 A7").transpose(i).score().save(`midi/${i}.mid`) }'
printf 'hidden_size: 16\nnum_hidden_layers: 2\nnum_attention_heads: 2\nintermediate_size: 32\n' > tiny.yaml
printf 'base_model: tiny.yaml\nr: 2\nmax_seq_len: 24\nbatch_size: 1\nval: 0.3\nlr: 1e-3\neval_every: 4\n' > recipe.yaml
ranks() { mpirun --allow-run-as-root --oversubscribe --mca odls_base_sigkill_timeout 5 -n "$@"; }
train=("$etude" --threads 1 train --config recipe.yaml --data_dir midi)

"${train[@]}" --output_dir one --max_steps 8 --gradient_accumulation_steps 4 2> one.err
for n in 2 4; do
    ranks $n "${train[@]}" --output_dir ranks$n --max_steps 8 --gradient_accumulation_steps $((4 / n)) 2> ranks$n.err
    grep -q "$n ranks (mpi)" ranks$n.err
    python3 - one ranks$n <<'PY'
import json, sys
losses = [[row.get("loss", row.get("val_loss")) for row in map(json.loads, open(f"{run}/metrics.jsonl"))] for run in sys.argv[1:]]
assert len(losses[0]) == len(losses[1]) == 10, [len(l) for l in losses]
worst = max(abs(a - b) / max(a, 1) for a, b in zip(*losses))
assert worst < 1e-6, worst
print(f"{sys.argv[2]}: 10 losses, worst difference {worst:.1e}")
PY
done

for victim in 2 0; do
    rm -rf lost
    ranks 3 sh -c 'echo $$ > pid$OMPI_COMM_WORLD_RANK; exec "$@"' sh "${train[@]}" --output_dir lost \
        --max_steps 1000000 --warmup_steps 0 --checkpoint_every 1 --save_total_limit 2 2> lost.err &
    job=$!
    for _ in $(seq 1200); do ls -d lost/checkpoint-* > /dev/null 2>&1 && break; sleep 0.1; done
    kill -9 "$(cat pid$victim)"
    began=$(date +%s)
    code=0; wait $job || code=$?
    [ $code != 0 ] && [ $(($(date +%s) - began)) -lt 60 ]
    grep -q "lost rank $victim: its process ended" lost.err || { cat lost.err; exit 1; }
    step=$(ls -d lost/checkpoint-* | sed 's/.*-//' | sort -n | tail -1)
    "${train[@]}" --resume --output_dir lost --max_steps $((step + 1)) > /dev/null 2>&1
    [ -d lost/checkpoint-$((step + 1)) ]
    echo "rank $victim killed: mpirun ended with $code after $(($(date +%s) - began)) s, step $step kept, and it goes on"
done
echo "ok"
