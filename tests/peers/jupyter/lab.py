"""JupyterLab in a headless Chromium, as a user meets it: run the tour, watch training, stop it, Tab, Shift-Tab, play.

    pip install jupyterlab==4.6.6 playwright==1.65.2; a Chromium on PATH or in CHROMIUM
    python lab.py FOLDER_FOR_SCREENSHOTS [first_notes] [typing] [training] [gallery] [shared] [highlighted]

The kernel must be installed (run.sh does it). Prints what it saw and fails on the first thing that is not so.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import TimeoutError, sync_playwright

EXAMPLES = Path(__file__).parents[3] / "examples"
PORT = int(os.environ.get("LAB_PORT", "8973"))
ADDRESS = f"http://127.0.0.1:{PORT}"


def lab(folder):
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={PORT}", f"--notebook-dir={folder}",
         "--IdentityProvider.token=", "--ServerApp.password="],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "HOME": str(folder)})
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{ADDRESS}/api", timeout=1)
            return server
        except OSError:
            time.sleep(0.2)
    raise SystemExit("JupyterLab does not answer")


def open_notebook(page, name):
    page.goto(f"{ADDRESS}/lab/tree/{name}?reset", wait_until="domcontentloaded", timeout=120_000)
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=120_000)
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=120_000)
    # On a slow machine Lab may ask for the kernel before it has read which there are.
    try:
        page.click(".jp-Dialog .jp-mod-accept", timeout=3_000)
        page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=120_000)
    except TimeoutError:
        pass


def run_all(page):
    page.click('.lm-MenuBar-itemLabel:text-is("Run")')
    page.click('.lm-Menu-itemLabel:text-is("Run All Cells")')
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="busy"]', timeout=60_000)


def wait_idle(page, seconds):
    time.sleep(2)
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=seconds * 1000)


def outputs(page):
    return page.evaluate("[...document.querySelectorAll('.jp-OutputArea-output')].map(o => o.innerText).join('\\n')")


def first_notes(page, shots):
    open_notebook(page, "01_first_notes.ipynb")
    run_all(page)
    wait_idle(page, 500)
    assert "Traceback" not in outputs(page) and "Error" not in outputs(page), outputs(page)
    for i, cell in enumerate(page.query_selector_all(".jp-CodeCell")):
        cell.scroll_into_view_if_needed()
        time.sleep(0.3)
        cell.screenshot(path=f"{shots}/first-{i:02}.png")
    duration = page.evaluate("""async () => {
        // A player is a word until it is clicked.
        document.querySelector('[data-sound]')?.click();
        const audio = document.querySelector('audio');
        if (!audio) return 'no audio element';
        for (let i = 0; i < 100 && !(audio.duration > 0); i++) await new Promise(done => setTimeout(done, 100));
        return audio.duration; }""")
    print("audio duration:", duration)
    assert isinstance(duration, (int, float)) and duration > 1, duration


def typing(page, shots):
    editor = page.query_selector_all(".jp-CodeCell .cm-content")[-1]
    editor.click()
    page.keyboard.press("Control+End")
    page.keyboard.press("Enter")
    page.keyboard.type("solo.trans")
    page.keyboard.press("Tab")
    time.sleep(2)
    page.screenshot(path=f"{shots}/tab.png")
    text = page.evaluate("document.querySelector('.jp-Notebook .jp-mod-active .cm-content').innerText")
    popup = page.query_selector(".jp-Completer-list")
    print("Tab:", repr(text[-20:]), popup and popup.inner_text())
    assert "transpose" in text or (popup and "transpose" in popup.inner_text())
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    page.keyboard.type(" solo.")
    page.keyboard.press("Tab")
    time.sleep(2)
    page.screenshot(path=f"{shots}/tab-list.png")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    editor.click()
    page.keyboard.press("Control+End")
    # The names that were begun above are made whole, or what follows would be a member of theirs.
    page.keyboard.type("len;\nmidi(")
    page.keyboard.press("Shift+Tab")
    page.wait_for_selector(".jp-Tooltip", timeout=20_000)
    time.sleep(1)
    page.screenshot(path=f"{shots}/shift-tab.png")
    assert "midi" in page.inner_text(".jp-Tooltip")


def training(page, shots):
    open_notebook(page, "02_fine_tune.ipynb")
    run_all(page)
    seen = set()
    for _ in range(180):
        time.sleep(1)
        text = outputs(page)
        seen.add(text)
        # Early enough that the training is not over.
        if "steps" in text and "loss" in text and len(seen) > 5:
            break
    page.screenshot(path=f"{shots}/training.png")
    print("different states seen while it ran:", len(seen))
    assert len(seen) > 3
    begun = time.time()
    page.click('[data-jp-item-name="interrupt"]')
    wait_idle(page, 60)
    print(f"stopped within {time.time() - begun:.1f} s")
    page.screenshot(path=f"{shots}/stopped.png")
    assert "KeyboardInterrupt" in outputs(page)


def shared(page, shots):
    """A notebook with outputs that somebody else has run: not trusted, so without SVG and scripts, but with pictures."""
    open_notebook(page, "shared.ipynb")
    seen = page.evaluate("""() => [...document.querySelectorAll('.jp-OutputArea-output img')].map(
        i => ({ wide: i.naturalWidth, shown: i.clientWidth, kind: i.src.slice(5, 15) }))""")
    print("pictures of the untrusted notebook:", seen)
    assert len(seen) >= 6 and all(i["wide"] > 0 and i["shown"] > 100 for i in seen), seen
    assert page.evaluate("document.querySelectorAll('.jp-OutputArea-output svg').length") == 0
    for i, cell in enumerate(page.query_selector_all(".jp-CodeCell")):
        cell.scroll_into_view_if_needed()
        time.sleep(0.3)
        cell.screenshot(path=f"{shots}/untrusted-{i:02}.png")
    # As on a telephone.
    page.set_viewport_size({"width": 520, "height": 900})
    time.sleep(1)
    page.screenshot(path=f"{shots}/untrusted-narrow.png")
    page.set_viewport_size({"width": 1300, "height": 1000})


def highlighted(page, _shots):
    """Rhai's own highlighting: Rust's knows no `#{` and takes `fn` in a template for text."""
    open_notebook(page, "highlight.ipynb")
    page.wait_for_selector(".jp-CodeCell .cm-line span", timeout=20_000)
    html = page.inner_html(".jp-CodeCell .cm-content")
    print("highlighted:", html[:400])
    assert page.evaluate("""() => [...document.querySelectorAll('.jp-CodeCell .cm-line span')]
        .some(s => s.innerText === 'until')"""), html


# What the two notebooks do not show: one cell each, to look at.
GALLERY = [
    'let tok = tokenizer("performance");\nlet data = dataset("midi", tok, #{ max_seq_len: 64, val: 0.2 });\ntok',
    "data",
    'let net = load_model("base").qlora(#{ r: 4 });\nnet.weights("model.layers.0.self_attn.q_proj.weight")',
    '[#{ chord: "Dm7", notes: [62, 65, 69, 72] }, #{ chord: "G7", notes: [55, 59, 62, 65] }]',
    "plot(#{ a: [1, 4, 9, 16], b: [16, 9, 4, 1] })",
    'let run = trainer(net, data, #{ max_steps: 6, batch_size: 1, eval_every: 3, eval_batches: 1, sample_every: 3, out: "run" });\nrun.fit();',
    "run.history",
    ":vars",
    "?Score.slice",
    "lets x = 1;",
]


def gallery(page, shots):
    open_notebook(page, "gallery.ipynb")
    run_all(page)
    wait_idle(page, 300)
    page.keyboard.press("Escape")
    for i, cell in enumerate(page.query_selector_all(".jp-CodeCell")):
        cell.scroll_into_view_if_needed()
        time.sleep(0.3)
        cell.screenshot(path=f"{shots}/gallery-{i:02}.png")
    text = outputs(page)
    for part in ("6 of 6 steps", "s of sound", "mean", "hint: two statements"):
        assert part in text, f"no {part!r} in {text}"


def write_gallery(path, sources=GALLERY):
    cells = [{"cell_type": "code", "id": f"cell-{i}", "metadata": {}, "outputs": [], "execution_count": None,
              "source": source} for i, source in enumerate(sources)]
    spec = {"kernelspec": {"display_name": "Étude", "language": "rhai", "name": "etude"}}
    path.write_text(json.dumps({"cells": cells, "metadata": spec, "nbformat": 4, "nbformat_minor": 5}))


def main():
    shots = Path(sys.argv[1])
    shots.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp())
    for notebook in EXAMPLES.glob("*.ipynb"):
        shutil.copy(notebook, folder)
    (folder / "midi").symlink_to(EXAMPLES / "midi")
    write_gallery(folder / "gallery.ipynb")
    shutil.copy(EXAMPLES / "01_first_notes.ipynb", folder / "shared.ipynb")
    write_gallery(folder / "highlight.ipynb", ["do { let x = #{ a: `${1}` }; } until true"])
    if os.environ.get("LAB_QUICK"):  # for a slow machine: a shorter solo
        for path in folder.glob("*.ipynb"):
            path.write_text(path.read_text().replace("max_new_tokens: 256", "max_new_tokens: 32"))
    settings = folder / ".jupyter/lab/user-settings/@jupyterlab"
    for plugin, wanted in (
            # All cells stand in the page, also those out of sight; and nobody asks about news.
            ("notebook-extension/tracker", '{"windowingMode": "none"}'),
            ("apputils-extension/notification", '{"fetchNews": "false", "checkForUpdates": false}')):
        path = settings / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted)
    server = lab(folder)
    try:
        with sync_playwright() as playwright:
            chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1300, "height": 1000})
            try:
                for part in (first_notes, typing, training, gallery, shared, highlighted):
                    if len(sys.argv) < 3 or part.__name__ in sys.argv[2:]:
                        part(page, shots)
            except Exception:
                page.screenshot(path=f"{shots}/failed.png")
                raise
            browser.close()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
