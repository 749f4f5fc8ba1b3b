#!/usr/bin/env bash
# Jupyter's own tests and tools against the kernel: jupyter_kernel_test, nbclient, nbconvert, papermill, console, run,
# the example notebooks, and the figures beside ipykernel's. Needs Python 3.10 or later with venv, and a network the
# first time.
#   bash tests/peers/jupyter/run.sh [BINARY]     (target/release/etude if none is named; ETUDE_VENV: where the venv is)
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../../.. && pwd)
binary=${1:-$root/target/release/etude}
binary=$(cd "$(dirname "$binary")" && pwd)/$(basename "$binary")
export ETUDE_VENV=${ETUDE_VENV:-$root/target/peers/jupyter}
export MPLBACKEND=agg JUPYTER_PLATFORM_DIRS=1 ETUDE_KERNEL=etude ETUDE=$binary

bash venv.sh
export VIRTUAL_ENV=$ETUDE_VENV PATH="$ETUDE_VENV/bin:$PATH"
"$binary" kernel install --sys-prefix --name "$ETUDE_KERNEL"

python -m unittest -v test_kernel test_tools test_notebooks
# A machine that is busy with something else in the middle of it can spoil the figures: they have a second try.
python ratios.py || { echo "once more"; python ratios.py; }
