#!/usr/bin/env bash
# Runs a command whose CUDA is that of emulator/: the GPU paths without a GPU, hundreds of times slower. For example
#   bash tests/peers/cuda/emulate.sh cargo test --features cuda --lib -- --ignored on_a_gpu --test-threads=1
# With ETUDE_CUDA_EMULATOR_NO_GRAPHS=1 the driver refuses to record graphs.
# The command must load CUDA at run time (cudarc's feature `dynamic-loading`): a binary that is linked to it asks for more
# than is emulated. Needs g++ on Linux.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)/emulator
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
g++ -std=c++17 -O2 -Wall -shared -fPIC -fvisibility=hidden "$here/driver.cpp" -ldl -o "$work/libcuda.so"
for name in nvrtc cublas cublasLt curand; do ln -s libcuda.so "$work/lib$name.so"; done
export ETUDE_CUDA_EMULATOR=$here XDG_CACHE_HOME=$work/cache LD_LIBRARY_PATH=$work${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
"$@"
