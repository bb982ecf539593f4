"""`riskpo compare` with the fake in place of `riskpo train`."""

import sys
from pathlib import Path

from riskpo.comparison.design import Asked, make_design
from riskpo.comparison.entries import read_entries
from riskpo.comparison.session import run_comparison

FAKE = [sys.executable, str(Path(__file__).with_name("fake_train.py"))]
FLAGS = ("--eval_prompts", "20", "--eval_samples", "8", "--eval_ks", "1", "4", "--max_steps", "8")


def design(folder, estimators="exact,grpo", seeds=2, flags=(), model="no/model", **asked):
    entries = read_entries(estimators)
    flags = (*FLAGS, "--model_name_or_path", model, *flags)
    asked = {"baseline": entries[0].label, **asked}
    return make_design(Asked("quickstart", None, flags, tuple(entries), seeds, folder=Path(folder), **asked), dry=False)


def compare_into(wanted, log):
    """A whole comparison with what it says in a file, as a process of its own has it."""
    with log.open("w") as file:

        def say(line):
            file.write(line + "\n")
            file.flush()

        try:
            done = run_comparison(wanted, 2, say, FAKE)
        except KeyboardInterrupt:  # between two cells
            sys.exit(130)
        if done.stopped:
            sys.exit(130)
        say(f"failed: {done.failed}")
        sys.exit(len(done.failed))
