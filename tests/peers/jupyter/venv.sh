#!/usr/bin/env bash
# Makes the virtual environment of Jupyter's tests, or brings it up to date (ETUDE_VENV: where it is).
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../../.. && pwd)
venv=${ETUDE_VENV:-$root/target/peers/jupyter}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --retries 2 --timeout 20 --requirement requirements.txt
