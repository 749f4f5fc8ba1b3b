"""The example notebooks, run by the tools that people run notebooks with; every picture is looked for. By run.sh."""

import base64
import os
import re
import shutil
import tempfile
import unittest
import xml.dom.minidom
from pathlib import Path

import nbformat
from nbclient import NotebookClient

import refresh
from test_tools import ETUDE, call

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[2] / "examples"
FIRST = EXAMPLES / "01_first_notes.ipynb"
SECOND = EXAMPLES / "02_fine_tune.ipynb"
KERNEL = os.environ.get("ETUDE_KERNEL", "etude")
LARGEST = 2_000_000
# Of a notebook with its outputs, as it is shipped.
HEAVIEST = 1_500_000

# What the value of a cell is shown as, by the last line of the cell: a picture is SVG and PNG, a player a page.
PICTURE, PLAYER, PAGE = "image/svg+xml", "text/html", "text/html"
FIRST_SHOWS = {
    "opening": PICTURE,
    "opening.audio()": PLAYER,
    "rag.notes[0]": PAGE,
    'plot(count, #{ title: "how often each pitch occurs", x_label: "pitch", y_label: "notes" })': PICTURE,
    "opening.chords()": PICTURE,
    "progression": PICTURE,
    "progression.score().audio()": PLAYER,
    "tok.show(ids.extract(0, 12))": "text/plain",
    "tok.decode(ids.extract(0, 300))": PICTURE,
    "net": PAGE,
    "solo": PICTURE,
    "solo.audio()": PLAYER,
}
SECOND_SHOWS = {"data": PAGE, "before": PAGE, "practice": "text/plain", "after": PAGE, "solo": PICTURE,
                "solo.audio()": PLAYER}


class Notebooks(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "midi").symlink_to(EXAMPLES / "midi")

    def check(self, notebook, shows):
        """Every cell of `shows` is there and has its picture, and nothing is too large or not what it says it is."""
        nbformat.validate(notebook)
        missing = dict(shows)
        for cell in notebook.cells:
            if cell.cell_type != "code":
                continue
            self.assertIsNotNone(cell.execution_count, f"not run: {cell.source}")
            for output in cell.outputs:
                self.assertNotEqual(output.output_type, "error", output)
                self.assertLess(len(str(output)), LARGEST, cell.source)
                self.look(output.get("data", {}))
            last = cell.source.strip().splitlines()[-1]
            results = [o for o in cell.outputs if o.output_type == "execute_result"]
            if last in missing and results:
                self.assertIn(missing.pop(last), results[0].data, last)
                self.assertIn("text/plain", results[0].data, last)
        self.assertEqual(missing, {}, "cells without their picture")

    def look(self, data):
        self.assertNotIn("<svg", data.get(PAGE, ""), "a picture that is lost where a notebook is not trusted")
        self.assertLessEqual(data.get(PAGE, "").count("data:audio"), 1, "the sound is stored once")
        self.assertNotIn("audio/mpeg", data)
        if PICTURE in data:
            self.assertTrue(base64.b64decode(data["image/png"]).startswith(b"\x89PNG"))
            self.assertNotIn(PAGE, data, "a front end that knows both shows the page alone")
            drawn = xml.dom.minidom.parseString(data[PICTURE]).documentElement
            self.assertEqual(drawn.tagName, "svg")
            self.assertGreater(len(drawn.getElementsByTagName("path")) + len(drawn.getElementsByTagName("rect")), 0)
        for sound in re.findall(r"data:audio/mpeg;base64,([\w+/=]+)", data.get(PAGE, "")):
            sound = base64.b64decode(sound)
            self.assertTrue(sound[:3] == b"ID3" or sound[0] == 0xFF, sound[:4])

    def executed(self, path, out=None):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        NotebookClient(notebook, timeout=600, kernel_name=KERNEL,
                       resources={"metadata": {"path": self.folder}}).execute()
        if out:
            nbformat.write(notebook, out)
        return notebook

    def test_nbclient_runs_the_first_and_every_picture_is_there_twice_the_same(self):
        notebook = self.executed(FIRST)
        self.check(notebook, FIRST_SHOWS)
        self.assertTrue((self.folder / "first_solo.mid").is_file())
        again = self.executed(FIRST)
        pictures = [[o.data[PICTURE] for c in n.cells if c.cell_type == "code" for o in c.outputs
                     if PICTURE in o.get("data", {})] for n in (notebook, again)]
        self.assertEqual(*pictures)

    def test_the_first_comes_with_the_outputs_of_a_run(self):
        self.assertLess(FIRST.stat().st_size, HEAVIEST)
        notebook = nbformat.read(FIRST, as_version=4)
        for output in (o for c in notebook.cells if c.cell_type == "code" for o in c.outputs):
            self.assertNotIn("application/pdf", output.get("data", {}), "refresh.py leaves it out")
        self.check(notebook, FIRST_SHOWS)
        self.assertEqual(refresh.kinds(nbformat.read(FIRST, as_version=4)), refresh.kinds(self.executed(FIRST)),
                         "python tests/peers/jupyter/refresh.py makes them anew")

    def test_nbconvert_executes_the_first_into_a_page(self):
        page = self.folder / "page.html"
        copy = self.folder / "first.ipynb"
        copy.write_text(FIRST.read_text())
        call("jupyter", "nbconvert", "--execute", "--to", "html", f"--ExecutePreprocessor.kernel_name={KERNEL}",
             "--output", str(page), str(copy))
        text = page.read_text()
        self.assertGreaterEqual(text.count("data:image/svg+xml;base64,"), 6)
        self.assertGreaterEqual(text.count("data-sound="), 5)

    def test_pictures_survive_where_html_does_not(self):
        self.executed(FIRST, self.folder / "first.ipynb")
        call("jupyter", "nbconvert", "--to", "html", "--sanitize-html", "first.ipynb", cwd=self.folder)
        page = (self.folder / "first.html").read_text()
        self.assertGreaterEqual(page.count('src="data:image/'), 6)
        # No tag and no sound is left as text: a player is a word, a table a table.
        # (The sanitiser's parser puts a <tbody> into every table, which the sanitiser then shows as text.)
        for torn in ("&lt;audio", "&lt;div", "&lt;table", "&lt;tr", "&lt;td", "data:audio"):
            self.assertNotIn(torn, page)
        self.assertIn("s of sound</div>", page)
        # What LaTeX makes a PDF of; nbconvert asks pandoc for the text.
        if shutil.which("pandoc") is None:
            self.skipTest("the part with LaTeX needs pandoc")
        call("jupyter", "nbconvert", "--to", "latex", "first.ipynb", cwd=self.folder)
        self.assertGreaterEqual((self.folder / "first.tex").read_text().count("\\adjustimage"), 6)
        self.assertGreaterEqual(len(list(self.folder.glob("first_files/*.png"))), 6)

    def test_nbconvert_makes_a_script_that_runs(self):
        for name, extra in (("plain", ["--TemplateExporter.exclude_markdown=False"]), ("short", [])):
            notebook = nbformat.v4.new_notebook(cells=[
                nbformat.v4.new_markdown_cell("# A title\n\nProse, `let x = `."),
                nbformat.v4.new_code_cell("let x = 20"), nbformat.v4.new_code_cell(":vars\n\nfn f(a) {\n\n    a + 1\n}"),
                nbformat.v4.new_code_cell("x;\nf(x)"), nbformat.v4.new_code_cell("print(f(x) * 2)")])
            notebook.metadata["kernelspec"] = {"name": KERNEL, "display_name": "", "language": "rhai"}
            notebook.metadata["language_info"] = {"name": "rhai" if name == "short" else "", "file_extension": ".rhai"}
            nbformat.write(notebook, self.folder / f"{name}.ipynb")
            call("jupyter", "nbconvert", "--to", "script", f"{name}.ipynb", *extra, cwd=self.folder)
            self.assertTrue(call(ETUDE, "run", f"{name}.rhai", cwd=self.folder).endswith("42\n"), name)
        copy = self.folder / "first.ipynb"
        copy.write_text(FIRST.read_text())
        call("jupyter", "nbconvert", "--to", "script", "first.ipynb", cwd=self.folder)
        self.assertIn("2566 notes", call(ETUDE, "run", "first.rhai", cwd=self.folder))

    def test_papermill_runs_the_first_with_parameters(self):
        out = self.papermill(FIRST, "-p", "temperature", "0.5", "-p", "seed", "11")
        injected = [cell.source for cell in out.cells if "injected-parameters" in cell.metadata.get("tags", [])]
        self.assertEqual(injected, ["// Parameters\nlet temperature = 0.5;\nlet seed = 11;\n"])
        self.check(out, FIRST_SHOWS)

    def test_papermill_trains_the_second_for_a_few_steps(self):
        out = self.papermill(SECOND, "-p", "steps", "12")
        self.check(out, SECOND_SHOWS)
        texts = "".join(str(o) for c in out.cells if c.cell_type == "code" for o in c.outputs)
        # One panel, which was updated in place and shows the end.
        panels = [o for c in out.cells if c.cell_type == "code" for o in c.outputs
                  if o.output_type == "display_data" and "12 of 12 steps" in o.data.get("text/plain", "")]
        self.assertEqual(len(panels), 1, texts[:2000])
        self.assertIn("learning rate", panels[0].data[PICTURE])
        self.assertIn("image/png", panels[0].data)
        self.assertIn("trained: 12 of 12 steps, loss ", texts)
        before, after = map(float, re.search(r"loss ([\d.]+) -> ([\d.]+)", texts).groups())
        self.assertLess(after, before)

    def papermill(self, notebook, *parameters):
        out = self.folder / "out.ipynb"
        call("papermill", str(notebook), str(out), "-k", KERNEL,
             "--cwd", str(self.folder), *parameters)
        return nbformat.read(out, as_version=4)

    def cells(self, path):
        return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]

    def test_jupyter_runs_the_cells_of_the_first_as_files(self):
        files = []
        for i, cell in enumerate(self.cells(FIRST)):
            files.append(self.folder / f"{i:02}.rhai")
            files[-1].write_text(cell)
        output = call("jupyter", "run", "--kernel", KERNEL, *map(str, files), cwd=self.folder)
        self.assertIn("2566 notes", output)
        self.assertTrue((self.folder / "first_solo.mid").is_file())

    def test_jupyter_runs_the_first_loaded_as_a_notebook(self):
        (self.folder / "first.ipynb").write_text(FIRST.read_text())
        (self.folder / "all.rhai").write_text(":load first.ipynb\n")
        output = call("jupyter", "run", "--kernel", KERNEL, str(self.folder / "all.rhai"), cwd=self.folder)
        self.assertIn("2566 notes", output)
        self.assertTrue((self.folder / "first_solo.mid").is_file())

    def test_the_cells_of_the_first_work_in_the_console(self):
        cells = self.cells(FIRST)
        # The console takes a line at a time; comments and what goes on over lines are joined.
        lines = [" ".join(l for l in cell.splitlines() if not l.startswith("//")) for cell in cells]
        typed = "\n".join(lines) + "\nexit()\n"
        output = call("jupyter", "console", "--kernel", KERNEL, "--simple-prompt", input=typed, cwd=self.folder)
        self.assertIn("2566 notes", output)
        self.assertRegex(output, r"first_solo\.mid: \d+ notes")
        self.assertNotIn("Error", output)


if __name__ == "__main__":
    unittest.main()
