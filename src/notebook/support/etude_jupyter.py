"""Rhai for the tools around Jupyter: a translator for papermill, a lexer for Pygments, a script exporter for nbconvert.

`etude kernel install` puts this file where the Python of an environment finds it, with the entry points by which the
three tools do; each part is made only where its tool is there. `python -m etude_jupyter` is papermill.
"""

import json
import math
import re


class Unreadable:
    """The address by which papermill loads this module when it starts; nothing is read or written there.

    It is above all imports: whoever loads this module first makes it load papermill, which then asks for this class.
    """

    def _refuse(self, *_):
        raise ValueError("etude-rhai:// cannot hold notebooks")

    read = listdir = write = pretty_path = _refuse


try:
    from pygments.lexer import RegexLexer, bygroups, include, words
    from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Text
except ImportError:
    pass
else:

    class RhaiLexer(RegexLexer):
        """Rhai as it is written in cells, with the commands of the prompt at the beginning of lines."""

        name = "Rhai"
        aliases = ["rhai"]
        filenames = ["*.rhai"]
        mimetypes = ["text/x-rhai"]
        url = "https://rhai.rs"

        tokens = {
            "root": [
                (r"^[:!?]\S.*$", Comment.Preproc),
                (r"\s+", Text),
                (r"//.*$", Comment.Single),
                (r"/\*", Comment.Multiline, "comment"),
                (r"`", String.Backtick, "template"),
                (r'"', String.Double, "string"),
                (r"'(\\.|[^'\\])+'", String.Char),
                (words(("let", "const", "fn", "private", "import", "export", "as", "global"), suffix=r"\b"),
                 Keyword.Declaration),
                (words(("if", "else", "switch", "while", "loop", "for", "in", "do", "until", "break", "continue",
                        "return", "throw", "try", "catch"), suffix=r"\b"), Keyword),
                (r"(true|false|this)\b", Keyword.Constant),
                (r"0x[0-9a-fA-F_]+|0b[01_]+|0o[0-7_]+", Number),
                (r"\d[\d_]*\.\d[\d_]*([eE][+-]?\d+)?|\d[\d_]*[eE][+-]?\d+", Number.Float),
                (r"\d[\d_]*", Number.Integer),
                (r"([A-Za-z_]\w*)(\s*)(\()", bygroups(Name.Function, Text, Punctuation)),
                (r"[A-Za-z_]\w*", Name),
                (r"#\{|[{}()\[\],;]", Punctuation),
                (r"[-+*/%=<>!&|^~.?:]+", Operator),
                (r".", Text),
            ],
            "comment": [(r"/\*", Comment.Multiline, "#push"), (r"\*/", Comment.Multiline, "#pop"),
                        (r"[^/*]+|[/*]", Comment.Multiline)],
            "string": [(r'"', String.Double, "#pop"), (r"\\.", String.Escape), (r'[^"\\]+', String.Double)],
            "template": [(r"`", String.Backtick, "#pop"), (r"\$\{", String.Interpol, "inside"),
                         (r"[^`$]+|\$", String.Backtick)],
            "inside": [(r"\}", String.Interpol, "#pop"), include("root")],
        }


try:
    from papermill.exceptions import PapermillException
    from papermill.models import Parameter
    from papermill.translators import Translator, papermill_translators
except ImportError:
    pass
else:

    class RhaiTranslator(Translator):
        """Values of papermill in Rhai's words."""

        @classmethod
        def translate_none(cls, val):
            return "()"

        @classmethod
        def translate_bool(cls, val):
            return "true" if val else "false"

        @classmethod
        def translate_float(cls, val):
            if not math.isfinite(val):
                raise PapermillException(f"{val} has no literal in Rhai")
            # Rhai needs a point or an exponent in a float, and digits on both sides of a point.
            text = repr(float(val))
            mantissa, e, exponent = text.partition("e")
            return f"{mantissa if '.' in mantissa else mantissa + '.0'}{e}{exponent}"

        @classmethod
        def translate_str(cls, val):
            # JSON's escapes are Rhai's, but for control characters written as \uXXXX, which Rhai reads as well.
            return json.dumps(val, ensure_ascii=False).replace("\\b", "\\x08").replace("\\f", "\\x0c")

        @classmethod
        def translate_list(cls, val):
            return "[" + ", ".join(cls.translate(item) for item in val) + "]"

        @classmethod
        def translate_dict(cls, val):
            entries = (f"{cls.translate_str(str(key))}: {cls.translate(item)}" for key, item in val.items())
            return "#{" + ", ".join(entries) + "}"

        @classmethod
        def comment(cls, cmt_str):
            return f"// {cmt_str}".strip()

        @classmethod
        def assign(cls, name, str_val):
            return f"let {name} = {str_val};"

        @classmethod
        def inspect(cls, parameters_cell):
            pattern = r"^let\s+(\w+)\s*=\s*(.*?);[ \t]*(?://[ \t]*(.*))?$"
            found = re.findall(pattern, parameters_cell["source"], re.MULTILINE)
            return [Parameter(name=name, inferred_type_name="None", default=value, help=doc)
                    for name, value, doc in found]

    # papermill has entry points for places and engines, none for translators: it has loaded this one for its place.
    papermill_translators.register("rhai", RhaiTranslator)


try:
    from nbconvert.exporters import ScriptExporter
except ImportError:
    pass
else:

    class RhaiExporter(ScriptExporter):
        """A notebook as a script that `etude run` runs: each cell ends its last statement, prose is comments."""

        def _file_extension_default(self):
            return ".rhai"

        def _template_file_default(self):
            return "script.j2"

        # nbconvert has templates of scripts for this type alone.
        output_mimetype = "text/plain"

        def from_notebook_node(self, nb, resources=None, **kw):
            resources = self._init_resources(resources)
            resources["output_extension"] = ".rhai"
            nb, resources = self._preprocess(nb, resources)
            return script(nb), resources


def script(notebook):
    """The cells of a notebook as one script."""
    parts = []
    for cell in notebook.cells:
        text = cell.source.strip()
        if cell.cell_type == "code" and text:
            parts.append(text)
        elif cell.cell_type == "markdown" and text:
            parts.append("\n".join(f"// {line}".rstrip() for line in text.splitlines()))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    from papermill.cli import papermill

    papermill()
