"""DeepCoder-Preview: programs with tests, from PrimeIntellect's SYNTHETIC-1, TACO-verified and LiveCodeBench.

Training: the configurations primeintellect, taco and lcbv5 (about 24,300 problems); test: codeforces and lcbv5. `tests`
is the text of JSON: a list of cases, or TACO's columns. Of a problem's tests the 15 with the longest inputs are kept:
some have thousands, megabytes each. Prompt: LiveCodeBench's (template `livecodebench`), as DeepCoder's own. Not run
against the hub.
"""

from __future__ import annotations

from riskpo.tasks.base import DataTask, Item, Part, Row, Shape, Split
from riskpo.tasks.programs import cases_of, longest, parsed
from riskpo.tasks.shapes import source_id, text

MOST_TESTS = 15


def _read(row: Row) -> Item:
    described = parsed(row.get("metadata") or "{}", "metadata")
    function = described.get("func_name") if isinstance(described, dict) else None
    cases = longest(cases_of(parsed(row.get("tests"), "tests"), function), MOST_TESTS)
    fields = {"tests": cases, "starter_code": row.get("starter_code") or ""}
    return Item(text(row, "problem"), None, source_id(row, "id", "uid"), fields)


TASK = DataTask(
    name="deepcoder",
    about="programs for standard input or a given signature, with tests",
    splits={
        "train": Split(
            None, ("deepcoder_train", "deepcoder"), tuple(Part(c, "train") for c in ("primeintellect", "taco", "lcbv5"))
        ),
        "test": Split(None, ("deepcoder_test",), tuple(Part(c, "test") for c in ("codeforces", "lcbv5"))),
    },
    licence="MIT",
    scorer="code",
    role="train",
    hub="agentica-org/DeepCoder-Preview-Dataset",
    shapes=(Shape("agentica-org/DeepCoder-Preview-Dataset: problem, tests", ("problem", "tests"), _read),),
    template="livecodebench",
    ability="code",
)
