"""jupyter_kernel_test against the installed kernel; run by run.sh."""

import os
import unittest

import jupyter_kernel_test as jkt

KERNEL = os.environ.get("ETUDE_KERNEL", "etude")


class EtudeKernel(jkt.KernelTests):
    kernel_name = KERNEL
    language_name = "rhai"
    file_extension = ".rhai"
    code_hello_world = 'print("hello, world")'
    code_stderr = 'debug("to stderr")'
    completion_samples = [
        {"text": "samp", "matches": {"sampler"}},
        {"text": ":his", "matches": {"history"}},
        {"text": 'tokenizer("perf', "matches": {"performance"}},
    ]
    complete_code_samples = ["1", 'print("hello")', "fn f(x) { x * 2 }", "// a comment", ":vars", "`a\nb`"]
    incomplete_code_samples = ["fn f(x) {", "let x = [1,", "/* open", "`open", "1 +"]
    invalid_code_samples = ["let = 1", "1 + + ]", "fn 3()"]
    code_page_something = "?midi"
    code_generate_error = "no_such_name + 1"
    code_execute_result = [
        {"code": "1 + 2", "result": "3"},
        {"code": '"a" + 1', "result": '"a1"'},
        {"code": "let a = [1, 2.5];\na", "result": "[1, 2.5]"},
    ]
    code_display_data = [
        {"code": 'display(chords("Dm7 G7").score())', "mime": "text/plain"},
        {"code": 'display(plot([1, 2, 3]))', "mime": "image/svg+xml"},
    ]
    code_history_pattern = "1?2*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "midi"
    code_clear_output = "clear()"


class EtudeWelcome(jkt.IopubWelcomeTests):
    kernel_name = KERNEL
    support_iopub_welcome = True


if __name__ == "__main__":
    unittest.main()
