"""The data set's own tests run the ordinary way: program and tests in one file, passed where Python ends with 0.

Only for programs that are trusted enough: reference solutions and their mutants.
"""

from __future__ import annotations

import subprocess
import sys

PREFIX = "import random as _random; _random.seed(0)\n"


def whole(row):
    """The reference program of a row of HumanEval or MBPP, and the name of its function."""
    if "entry_point" in row:
        return row["question"] + row["answer"], row["entry_point"]
    from riskpo.rewards.programs.testsets import read_tests

    return row["answer"], read_tests(row).functions[0]


def passes(program, row, seconds):
    """Whether a program passes the tests of its row, in a plain process; None where that takes longer."""
    if "entry_point" in row:
        code = f"{program}\n{row['test']}\ncheck({row['entry_point']})\n"
    else:
        code = "\n".join([program, *row["test_imports"], *row["test_list"]])
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", PREFIX + code], capture_output=True, timeout=seconds, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return None
    return done.returncode == 0
