"""papermill with a translator for Rhai: `-p name value` becomes `let name = value;` below the cell tagged `parameters`.

papermill looks translators up by language and has none for Rhai; this file registers one and is papermill otherwise:

    python tests/peers/jupyter/etude_papermill.py IN.ipynb OUT.ipynb -p temperature 0.7

A Python program that calls papermill itself calls `register()` first.
"""

import json
import math
import re

from papermill.models import Parameter
from papermill.translators import Translator, papermill_translators


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
            raise ValueError(f"{val} has no literal in Rhai")
        # Rhai wants a point or an exponent in a float, and digits on both sides of a point.
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
        found = re.findall(r"^let\s+(\w+)\s*=\s*(.*?);[ \t]*(?://[ \t]*(.*))?$", parameters_cell["source"], re.MULTILINE)
        return [Parameter(name=name, inferred_type_name="None", default=value, help=doc) for name, value, doc in found]


def register():
    """Makes the translator known to papermill."""
    papermill_translators.register("rhai", RhaiTranslator)


if __name__ == "__main__":
    from papermill.cli import papermill

    register()
    papermill()
