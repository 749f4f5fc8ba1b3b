#!/usr/bin/env bash
# Checks the feature `cuda` (all targets, lints denied) with a CUDA toolkit: the one whose nvcc is on the path, or else one
# from wheels. No GPU needed; g++, and without a toolkit Python 3 with venv and a network. Says so and passes where they are
# missing. Takes some ten minutes on two cores, nearly all of it candle's own kernels.
#   bash tests/peers/cuda/build.sh            (ETUDE_VENV: where the venv is)
set -euo pipefail
cd "$(dirname "$0")/../../.."
venv=${ETUDE_VENV:-target/peers/cuda}
case $venv in /*) ;; *) venv=$PWD/$venv ;; esac
missing() { echo "GPU feature not built: $1"; exit 0; }

if ! command -v g++ >/dev/null; then
    { [ "$(id -u)" = 0 ] && apt-get install -yq g++ >/dev/null 2>&1; } || missing "g++ is missing (apt-get install g++)"
fi
if ! command -v nvcc >/dev/null; then
    if ! [ -x "$venv/bin/python" ]; then
        python3 -c 'import venv, ensurepip' 2>/dev/null || missing "python3 with venv is missing"
        python3 -m venv "$venv"
    fi
    # One version of all: nvvm of a later one writes what this ptxas does not read.
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps nvidia-cuda-nvcc==13.0.88 \
        nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-cccl==13.0.85 nvidia-cuda-runtime==13.0.96 \
        nvidia-cuda-nvrtc==13.0.88 || missing "the wheels of a toolkit cannot be fetched"
    CUDA_HOME=$(echo "$venv"/lib/python3*/site-packages/nvidia/cu13)
    export CUDA_HOME PATH="$CUDA_HOME/bin:$PATH" CUDARC_CUDA_VERSION=13000
fi
CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-80} cargo clippy --workspace --all-targets --features cuda --locked -- -D warnings
