"""The tools around Jupyter on the example notebooks: nbclient, nbconvert, papermill, console, run. By run.sh."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[2] / "examples"
FIRST = EXAMPLES / "01_first_notes.ipynb"
KERNEL = os.environ.get("ETUDE_KERNEL", "etude")


def call(*words, **options):
    ran = subprocess.run(words, capture_output=True, text=True, timeout=600, **options)
    assert ran.returncode == 0, f"{words}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout + ran.stderr


def outputs(notebook):
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


class Tools(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "midi").symlink_to(EXAMPLES / "midi")

    def test_nbclient_runs_the_first_notebook(self):
        notebook = nbformat.read(FIRST, as_version=4)
        nbformat.validate(notebook)
        NotebookClient(notebook, timeout=600, kernel_name=KERNEL, resources={"metadata": {"path": self.folder}}).execute()
        nbformat.validate(notebook)
        forms = [set(output.get("data", {})) for output in outputs(notebook)]
        self.assertTrue(all("text/plain" in found for found in forms if found))
        pictures = [found for found in forms if found & {"image/svg+xml", "text/html"}]
        self.assertGreaterEqual(len(pictures), 8, forms)
        size = max(len(str(output)) for output in outputs(notebook))
        self.assertLess(size, 2_000_000, "no output is larger than 2 MB")

    def test_nbconvert_executes(self):
        out = self.folder / "page.html"
        copy = self.folder / "first.ipynb"
        copy.write_text(FIRST.read_text())
        call("jupyter", "nbconvert", "--execute", "--to", "html", f"--ExecutePreprocessor.kernel_name={KERNEL}",
             "--output", str(out), str(copy))
        self.assertIn("<svg", out.read_text())

    def test_papermill_sets_parameters(self):
        out = self.folder / "out.ipynb"
        call(sys.executable, str(HERE / "etude_papermill.py"), str(FIRST), str(out), "-k", KERNEL, "--cwd", str(self.folder),
             "-p", "temperature", "0.5", "-p", "seed", "11")
        text = out.read_text()
        self.assertIn("let temperature = 0.5;", text)
        self.assertIn("let seed = 11;", text)

    def test_a_saved_session_is_a_notebook(self):
        script = self.folder / "x.rhai"
        script.write_text('let a = 1;\nprint(a);\n')
        notebook = nbformat.v4.new_notebook(cells=[
            nbformat.v4.new_code_cell("let a = 20;\nprint(a);\na + 1"), nbformat.v4.new_code_cell(":save saved.ipynb")])
        NotebookClient(notebook, kernel_name=KERNEL, resources={"metadata": {"path": self.folder}}).execute()
        saved = nbformat.read(self.folder / "saved.ipynb", as_version=4)
        nbformat.validate(saved)
        self.assertEqual(saved.cells[0].outputs[1].data["text/plain"], "21")

    def test_jupyter_run(self):
        script = self.folder / "x.rhai"
        script.write_text('print("from a file");')
        self.assertIn("from a file", call("jupyter", "run", "--kernel", KERNEL, str(script)))

    def test_jupyter_console(self):
        said = call("jupyter", "console", "--kernel", KERNEL, "--simple-prompt",
                    input='let a = 6;\na * 7\nprint("ünï")\n:vars\nexit()\n')
        self.assertIn("42", said)
        self.assertIn("ünï", said)


class Translator(unittest.TestCase):
    def test_values_are_written_in_rhai(self):
        from etude_papermill import RhaiTranslator as T

        cases = [(1, "1"), (0.5, "0.5"), (2.0, "2.0"), (1e-5, "1.0e-05"), (True, "true"), (None, "()"),
                 ('a"b\n', '"a\\"b\\n"'), ([1, "x"], '[1, "x"]'), ({"lr": 0.1}, '#{"lr": 0.1}')]
        for value, text in cases:
            self.assertEqual(T.translate(value), text)
        found = T.inspect({"source": "// which\nlet a = 0.5; // daring\nlet b = [1, 2];"})
        self.assertEqual([(p.name, p.default, p.help) for p in found], [("a", "0.5", "daring"), ("b", "[1, 2]", "")])


if __name__ == "__main__":
    unittest.main()
