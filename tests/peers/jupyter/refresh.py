"""Runs the example notebooks and keeps their outputs in them, small: whoever opens one on GitHub or nbviewer sees what it shows.

    ETUDE=target/release/etude python refresh.py            (the kernel is installed as in run.sh)
    python refresh.py --check                               fails where a notebook's outputs are not of the kinds of a run

A run is the one that the texts tell of: nothing is shortened. PDFs, which only `--to pdf` asks for, are left out, and so
are displays that a run has emptied.
"""

import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[3] / "examples"
NOTEBOOKS = ["01_first_notes.ipynb", "02_fine_tune.ipynb"]
KERNEL = os.environ.get("ETUDE_KERNEL", "etude")
# "generating: 82 tokens in 0:35, 2.3/s": how fast one machine was.
SPEED = re.compile(r"^\w+: [\d,]+ \w+ in [\d:]+.*\n?", re.MULTILINE)


def run(notebook):
    """Its cells in a folder of their own, beside the pieces."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "midi").symlink_to(EXAMPLES / "midi")
        NotebookClient(notebook, timeout=1800, kernel_name=KERNEL, resources={"metadata": {"path": folder}}).execute()
    return notebook


def small(notebook):
    """Without what no reader sees, and without what differs from run to run."""
    for number, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), 1):
        cell.metadata.pop("execution", None)
        cell.execution_count = number
        for output in cell.outputs:
            if output.output_type == "stream":
                output.text = SPEED.sub("", output.text)
            if "data" in output:
                output.data.pop("application/pdf", None)
            if output.output_type == "execute_result":
                output.execution_count = number
        cell.outputs = [o for o in cell.outputs if o.get("text", "").strip() or shows(o.get("data", {}))]
    return notebook


def shows(data):
    return any(form not in ("", "()") for form in data.values())


def kinds(notebook):
    """What each cell shows, without what it says."""
    return [[(o.output_type, *sorted(o.get("data", {}))) for o in cell.outputs]
            for cell in small(notebook).cells if cell.cell_type == "code"]


def main():
    for name in NOTEBOOKS:
        path = EXAMPLES / name
        kept = nbformat.read(path, as_version=4)
        fresh = small(run(nbformat.read(path, as_version=4)))
        if "--check" in sys.argv:
            assert kinds(kept) == kinds(fresh), f"{name}: python tests/peers/jupyter/refresh.py makes its outputs anew"
        else:
            nbformat.write(fresh, path)
            print(f"{name}: {path.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
