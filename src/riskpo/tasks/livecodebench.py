"""LiveCodeBench (arXiv 2403.07974), code generation: contest problems with hidden tests, release 6 (1,055 problems).

The repository's own loading script is no longer run by `datasets`; its files test.jsonl to test6.jsonl are read as they
are (4.5 GB). Public and private tests are joined; the private ones are unpacked without running what a pickle may hold.
Prompt: LiveCodeBench's own (template `livecodebench`). Not run against the hub.
"""

from __future__ import annotations

from typing import Any

from riskpo.tasks.base import DataTask, Item, Part, Row, RowError, Shape, Split
from riskpo.tasks.programs import cases_of, parsed, unpacked
from riskpo.tasks.shapes import source_id, text

_FILES = ("test.jsonl", *(f"test{number}.jsonl" for number in range(2, 7)))


def _published(row: Row) -> Item:
    described = parsed(row.get("metadata") or "{}", "metadata")
    function = described.get("func_name") if isinstance(described, dict) else None
    public = parsed(row.get("public_test_cases"), "public_test_cases")
    private = unpacked(text(row, "private_test_cases"))
    if not isinstance(public, list) or not isinstance(private, list):
        raise RowError("public_test_cases and private_test_cases must be lists")
    fields = {"tests": cases_of([*public, *private], function), "starter_code": row.get("starter_code") or ""}
    return Item(text(row, "question_content"), None, source_id(row, "question_id"), fields)


def _decoded(row: Row) -> Item:
    """Tests in plain sight; the problem's name tells which outputs count as equal."""
    fields: dict[str, Any] = {"tests": cases_of(parsed(row.get("tests"), "tests")), "name": row.get("name") or ""}
    return Item(text(row, "question"), None, source_id(row, "id"), fields)


_DECODED = Shape("plain: question, tests", ("question", "tests"), _decoded)
TASK = DataTask(
    name="livecodebench",
    about="contest problems by date, hidden tests, release 6",
    splits={"test": Split(1055, ("livecodebench",), (Part(files=_FILES),))},
    licence="CC",
    scorer="code",
    role="benchmark",
    hub="livecodebench/code_generation_lite",
    shapes=(
        Shape(
            "livecodebench/code_generation_lite: question_content, public_test_cases, private_test_cases",
            ("question_content", "public_test_cases", "private_test_cases"),
            _published,
        ),
        _DECODED,
    ),
    template="livecodebench",
    ability="code",
)

# A dozen problems of CodeContests and LiveCodeBench as SandboxFusion keeps them; local only.
SAMPLE = DataTask(
    name="code-sample",
    about="a dozen problems of CodeContests and LiveCodeBench",
    splits={"sample": Split(12, ("code_stdio_sample",))},
    licence="Apache-2.0",
    scorer="code",
    role="benchmark",
    hub=None,
    shapes=(_DECODED,),
    template="livecodebench",
    ability="code",
)
