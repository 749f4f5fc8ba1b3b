#!/usr/bin/env bash
# Jupyter's own tests and tools against the kernel: jupyter_kernel_test, nbclient, nbconvert, papermill, console, run,
# and the figures beside ipykernel's. Needs Python 3.9 or later with venv, and a network the first time.
#   bash tests/peers/jupyter/run.sh [BINARY]     (target/release/etude if none is named; ETUDE_VENV: where the venv is)
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../../.. && pwd)
binary=${1:-$root/target/release/etude}
venv=${ETUDE_VENV:-$root/target/peers/jupyter}
export MPLBACKEND=agg JUPYTER_PLATFORM_DIRS=1 ETUDE_KERNEL=etude

[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
export VIRTUAL_ENV=$venv PATH="$venv/bin:$PATH"
"$binary" kernel install --sys-prefix --name "$ETUDE_KERNEL"

python -m unittest -v test_kernel test_tools
python ratios.py
