"""Compares the kernel with ipykernel in the same run and prints the ratios; fails beyond the bounds.

    python ratios.py [--runs 5]

Start: from the start of the process to the first kernel_info_reply. Round trip: an empty cell, from request to idle.
Interrupt: of a tight loop, from the request to the end of the cell. Each kernel has its turn in every run, so that both
meet the same machine; the medians are compared.
"""

import argparse
import os
import statistics
import sys
import time

from jupyter_client.manager import KernelManager

ETUDE = os.environ.get("ETUDE_KERNEL", "etude")
LOOPS = {ETUDE: "loop { }", "python3": "while True: pass"}
BOUNDS = {"start to first reply": 0.3, "round trip of an empty cell": 0.5, "interrupt of a loop": 1.0}


def until_idle(client, request):
    while True:
        message = client.get_iopub_msg(timeout=60)
        if message["parent_header"].get("msg_id") != request or message["msg_type"] != "status":
            continue
        if message["content"]["execution_state"] == "idle":
            return


def measure(name, figures):
    manager = KernelManager(kernel_name=name)
    begun = time.perf_counter()
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        # Asked again and again: a request sent before the socket is connected may be lost.
        while True:
            client.kernel_info()
            try:
                client.get_shell_msg(timeout=0.02)
                break
            except Exception:
                continue
        figures["start to first reply"].append(time.perf_counter() - begun)
        client.wait_for_ready(timeout=60)
        until_idle(client, client.execute("1"))
        for _ in range(20):
            begun = time.perf_counter()
            until_idle(client, client.execute(""))
            figures["round trip of an empty cell"].append(time.perf_counter() - begun)
        for _ in range(3):
            request = client.execute(LOOPS[name])
            time.sleep(0.3)
            begun = time.perf_counter()
            manager.interrupt_kernel()
            until_idle(client, request)
            figures["interrupt of a loop"].append(time.perf_counter() - begun)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    figures = {name: {what: [] for what in BOUNDS} for name in LOOPS}
    for _ in range(runs):
        for name in LOOPS:
            measure(name, figures[name])
    failed = False
    print(f"{'':<28} {'etude':>9} {'ipykernel':>10} {'ratio':>6}  bound")
    for what, bound in BOUNDS.items():
        ours, theirs = (statistics.median(figures[name][what]) for name in LOOPS)
        failed |= ours > bound * theirs
        print(f"{what:<28} {1e3 * ours:>6.1f} ms {1e3 * theirs:>7.1f} ms {ours / theirs:>6.2f}  {bound}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
