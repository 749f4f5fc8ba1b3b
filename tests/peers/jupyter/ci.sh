#!/usr/bin/env bash
# The Jupyter part of the gate: run.sh on the binary that `cargo test` has built. Installs Python on Debian when it may;
# where there is no Python, or no network to fetch the packages from, it says so and passes. Whatever fails after that
# fails the gate.
#   bash tests/peers/jupyter/ci.sh [BINARY]
set -euo pipefail
cd "$(dirname "$0")/../../.."

left_out() { echo "Jupyter's tests are left out: $*"; exit 0; }

has_venv() { python3 -c 'import ensurepip, venv, sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }

if ! has_venv && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing python3 and python3-venv"
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends python3 python3-venv; } \
        >/dev/null 2>&1 || true
fi
has_venv || left_out "there is no Python 3.10 with venv (Debian: apt-get install python3 python3-venv)"

target=${CARGO_TARGET_DIR:-$PWD/target}
binary=${1:-$target/debug/etude}
[ -x "$binary" ] || { echo "there is no $binary; cargo build makes it" >&2; exit 1; }

export ETUDE_VENV=${ETUDE_VENV:-$target/peers/jupyter}
bash tests/peers/jupyter/venv.sh || left_out "the packages of tests/peers/jupyter/requirements.txt cannot be fetched"
bash tests/peers/jupyter/run.sh "$binary"
