#!/usr/bin/env bash
# Compiles every GPU kernel with NVRTC for compute_80 and compute_90; no GPU and no CUDA toolkit needed. Python 3 with venv,
# and a network the first time; says so and passes where they are missing.
#   bash tests/peers/nvrtc.sh            (ETUDE_VENV: where the venv is)
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=${ETUDE_VENV:-target/peers/nvrtc}

if ! [ -x "$venv/bin/python" ]; then
    if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
        echo "GPU kernels not compiled: python3 with venv is missing"
        exit 0
    fi
    python3 -m venv "$venv"
fi
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps nvidia-cuda-nvrtc==13.0.88; then
    echo "GPU kernels not compiled: the wheel nvidia-cuda-nvrtc cannot be fetched"
    exit 0
fi
"$venv/bin/python" tests/peers/cuda/compile.py
