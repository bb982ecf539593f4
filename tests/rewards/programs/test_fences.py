import time

import pytest

from riskpo.rewards.programs.fences import continuation_of, program_of

GOOD = "```python\nprint(1)\n```"


@pytest.mark.parametrize(
    ("completion", "program"),
    [
        (GOOD, "print(1)"),
        (f"Text.\n{GOOD}\nMore text.", "print(1)"),
        ("```py\nx\n```", "x"),
        ("```Python3\nx\n```", "x"),
        ("``` python title=a.py\nx\n```", "x"),
        ("```{.python}\nx\n```", "x"),
        ("```\nx\n```", "x"),
        ("~~~python\nx\n~~~", "x"),
        ("````python\n```\nx\n```\n````", "```\nx\n```"),
        ("```python\r\nx\r\n```\r\n", "x\r"),
        ("```python\n\ufeffx\n```", "x"),
        ("```python\nx\n\x0cy\n```", "x\n\x0cy"),
        ("1. First:\n   ```python\n   if a:\n       b\n\n   c\n   ```\n", "if a:\n    b\n\nc"),
        ("```python\n```", ""),
        ("```python\n# nothing\n```", "# nothing"),
        # several blocks: the last of Python, and only without one the last without a language
        (f"```python\nold\n```\nBetter:\n{GOOD}", "print(1)"),
        (f"{GOOD}\nIt prints\n```\n1\n```", "print(1)"),
        (f"{GOOD}\nIt prints\n```text\n1\n```", "print(1)"),
        ("```\na\n```\n```\nb\n```", "b"),
        ("```cpp\nint x;\n```", None),
        # reasoning
        (f"<think>\n```python\nwrong\n```\n</think>\n{GOOD}", "print(1)"),
        (f"<think>\n{GOOD}\n</think>\nThe answer is above.", None),
        (f"<think>\n{GOOD}", None),
        (f"hidden prompt part\n```python\nwrong\n```\n</think>{GOOD}", "print(1)"),
        (f"<think></think><think>a</think>\n{GOOD}", "print(1)"),
        (f"<think>a</think>\n{GOOD}\n<think>\nagain", None),
        # cut
        ("```python\nprint(1)", None),
        (f"{GOOD}\n```python\nprint(2", "print(1)"),
        ("```python\nprint(1\n```python\nprint(2)\n```", "print(2)"),
        ("```python\nprint(1)\n``", None),
        ("```python\nprint(1)\n~~~", None),
        # none
        ("print(1)", None),
        ("", None),
        ("Use `print(1)`.", None),
        ("```print(1)```", None),
        ("x ```python\nprint(1)\n```", None),
    ],
)
def test_program(completion, program):
    assert program_of(completion) == program


@pytest.mark.parametrize(
    ("completion", "program"),
    [
        ("    return 1\n", "    return 1\n"),
        ("\ufeffprint(1)", "print(1)"),
        (GOOD, "print(1)"),
        ("<think>a</think>print(1)", "print(1)"),
        ("<think>print(1)", None),
        ("```python\nprint(1)", None),
        ("```cpp\nint x;\n```", None),
        (" \n\t", None),
    ],
)
def test_bare(completion, program):
    assert program_of(completion, bare=True) == program


def test_hostile_texts_take_linear_time():
    begun = time.monotonic()
    for text in ("`" * 3_000_000, "```" + "a" * 3_000_000 + "`", " " * 3_000_000 + "```", "```\n" * 700_000):
        program_of(text, bare=True)
    for text in ("<think>" * 400_000, "</think>" * 400_000, "```python\n" * 300_000, "~" * 10_000_000):
        program_of(text, bare=True)
    assert time.monotonic() - begun < 60  # quadratic time would be hours


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("    return a + b\n", "    return a + b\n"),
        ("    return a\n\n\ndef other():\n    pass\nclass C: pass", "    return a\n\n"),
        (
            "    if a:\n        return b\n    # inside\n    return c\n# outside\nx",
            "    if a:\n        return b\n    # inside\n    return c",
        ),
        ("    return a\nprint(f(1))", "    return a"),
        ("    return a\nif __name__ == '__main__':\n    f(", "    return a"),
        ("", ""),
    ],
)
def test_a_continuation_ends_where_something_else_begins(text, kept):
    assert continuation_of(text) == kept
