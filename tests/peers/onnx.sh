#!/usr/bin/env bash
# ONNX Runtime's answers beside ours: onnx_runtime.py in a virtual environment. Where there is no Python with venv, or no network
# to fetch the packages from, it says so and passes.
#   bash tests/peers/onnx.sh
set -euo pipefail
cd "$(dirname "$0")/../.."

left_out() { echo "ONNX Runtime is left out: $*"; exit 0; }

python3 -c 'import ensurepip, venv, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    left_out "there is no Python 3.11 with venv (Debian: apt-get install python3 python3-venv)"
venv=${ETUDE_VENV:-${CARGO_TARGET_DIR:-$PWD/target}/peers/onnx}
if ! "$venv/bin/python" -c 'import onnx, onnxruntime' 2>/dev/null; then
    { python3 -m venv "$venv" && "$venv/bin/pip" install -q onnx==1.23.2 onnxruntime==1.32.0 numpy; } >/dev/null 2>&1 ||
        left_out "onnx and onnxruntime cannot be fetched"
fi
"$venv/bin/python" tests/peers/onnx_runtime.py
