"""The tools around Jupyter with small pieces of code: nbclient, console, run; notebooks that `:save` wrote. By run.sh."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import nbformat
from nbclient import NotebookClient

KERNEL = os.environ.get("ETUDE_KERNEL", "etude")
ETUDE = os.environ.get("ETUDE", "etude")


def call(*words, **options):
    ran = subprocess.run(words, capture_output=True, text=True, timeout=900, **options)
    assert ran.returncode == 0, f"{words}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout + ran.stderr


class Tools(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_a_saved_session_is_a_notebook(self):
        script = self.folder / "x.rhai"
        script.write_text('let a = 1;\nprint(a);\n')
        notebook = nbformat.v4.new_notebook(cells=[
            nbformat.v4.new_code_cell("let a = 20;\nprint(a);\na + 1"), nbformat.v4.new_code_cell(":save saved.ipynb")])
        NotebookClient(notebook, kernel_name=KERNEL, resources={"metadata": {"path": self.folder}}).execute()
        saved = nbformat.read(self.folder / "saved.ipynb", as_version=4)
        nbformat.validate(saved)
        self.assertEqual(saved.cells[0].outputs[1].data["text/plain"], "21")
        self.assertEqual(call(ETUDE, "run", "saved.ipynb", cwd=self.folder), "20\n")

    def test_the_prompt_saves_a_notebook(self):
        # `script` makes the terminal that the prompt wants.
        typed = 'let c = chords("Dm7 G7");\nc\nprint(c.len)\n:save prompt.ipynb\n:quit\n'
        call("script", "-qfec", f"'{ETUDE}'", "/dev/null", input=typed, cwd=self.folder,
             env={**os.environ, "HOME": str(self.folder)})
        saved = nbformat.read(self.folder / "prompt.ipynb", as_version=4)
        nbformat.validate(saved)
        self.assertEqual([cell.source for cell in saved.cells], ['let c = chords("Dm7 G7");', "c", "print(c.len)"])
        self.assertIn("Dm7", saved.cells[1].outputs[0].data["text/plain"])
        self.assertEqual(saved.cells[2].outputs[0].text, "2\n")
        self.assertEqual(call(ETUDE, "run", "prompt.ipynb", cwd=self.folder), "2\n")

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
