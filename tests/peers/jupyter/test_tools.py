"""The tools around Jupyter with small pieces of code: nbclient, console, run; notebooks that `:save` wrote. By run.sh."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import nbformat
from jupyter_client import KernelManager
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
        # `script` makes the terminal that the prompt needs.
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
        output = call("jupyter", "console", "--kernel", KERNEL, "--simple-prompt",
                    input='let a = 6;\na * 7\nprint("ünï")\n:vars\nexit()\n')
        self.assertIn("42", output)
        self.assertIn("ünï", output)


    def test_history_outlives_the_kernel(self):
        env = {**os.environ, "XDG_STATE_HOME": str(self.folder)}
        call("jupyter", "console", "--kernel", KERNEL, "--simple-prompt", input="let a = 6;\nexit()\n", env=env)
        manager = KernelManager(kernel_name=KERNEL)
        manager.start_kernel(env=env)
        client = manager.blocking_client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=30)
            client.history(hist_access_type="tail", n=3, raw=True, output=False)
            history = client.get_shell_msg(timeout=10)["content"]["history"]
            self.assertIn("let a = 6;", [cell for _, _, cell in history])
            message = client.session.msg("usage_request", {})
            client.control_channel.send(message)
            usage = client.get_control_msg(timeout=10)["content"]
            self.assertGreater(usage["kernel_memory"], 1 << 20)
            self.assertEqual(usage["pid"], manager.provisioner.process.pid)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)

    def test_kernels_are_listed_and_taken_away_with_what_came_with_them(self):
        env = {**os.environ, "JUPYTER_DATA_DIR": str(self.folder / "data")}
        call(ETUDE, "kernel", "install", "--name", "second", env=env)
        self.assertTrue((self.folder / "data/kernels/second/kernel.json").is_file())
        found = call("jupyter", "kernelspec", "list", env=env)
        self.assertIn("second", found)
        self.assertIn("second", call(ETUDE, "kernel", "list", env=env))
        self.assertIn("etude-rhai", call("jupyter", "labextension", "list", env=env) if shutil.which("jupyter-labextension")
                      else "etude-rhai")
        call(ETUDE, "kernel", "uninstall", "--name", "second", env=env)
        self.assertNotIn("second", call("jupyter", "kernelspec", "list", env=env))
        self.assertFalse((self.folder / "data/labextensions/etude-rhai").exists())


class Lexer(unittest.TestCase):
    def test_rhai_is_highlighted(self):
        from pygments.lexers import get_lexer_by_name
        from pygments.token import Comment, Error, Keyword, Name, String

        code = 'let x = `a ${f(1)} b`; // why\n:vars\nif x != "q" { net.fit() } /* /* deep */ */'
        tokens = list(get_lexer_by_name("rhai").get_tokens(code))
        self.assertEqual("".join(text for _, text in tokens).rstrip("\n"), code)
        self.assertNotIn(Error, [kind for kind, _ in tokens])
        for token in ((Keyword.Declaration, "let"), (Name.Function, "f"), (Comment.Single, "// why"),
                      (Comment.Preproc, ":vars"), (Keyword, "if"), (String.Double, "q"), (Name.Function, "fit")):
            self.assertIn(token, tokens)


class Translator(unittest.TestCase):
    def test_values_are_written_in_rhai(self):
        from etude_jupyter import RhaiTranslator as T

        cases = [(1, "1"), (0.5, "0.5"), (2.0, "2.0"), (1e-5, "1.0e-05"), (True, "true"), (None, "()"),
                 ('a"b\n', '"a\\"b\\n"'), ([1, "x"], '[1, "x"]'), ({"lr": 0.1}, '#{"lr": 0.1}')]
        for value, text in cases:
            self.assertEqual(T.translate(value), text)
        found = T.inspect({"source": "// which\nlet a = 0.5; // daring\nlet b = [1, 2];"})
        self.assertEqual([(p.name, p.default, p.help) for p in found], [("a", "0.5", "daring"), ("b", "[1, 2]", "")])


if __name__ == "__main__":
    unittest.main()
