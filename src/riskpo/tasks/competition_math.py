r"""MATH (arXiv 2103.03874) and its 500 test problems of Lightman et al. (arXiv 2305.20050).

The hub's copy keeps no answers: the gold is the content of the last `\boxed{}` of the worked solution, as is usual. It
has a configuration for each subject; they are read one after the other. Prompt: Qwen2.5-Math's instruction in the
user's turn (template `boxed`). Not run against the hub.
"""

from __future__ import annotations

import re

from riskpo.tasks.base import DataTask, Item, Part, Row, Shape, Split
from riskpo.tasks.shapes import questions, source_id, text

SUBJECTS = (
    *("algebra", "counting_and_probability", "geometry", "intermediate_algebra", "number_theory", "prealgebra"),
    "precalculus",
)
_UNBRACED = re.compile(r"\\boxed\s+([^\s$.,]+)")


def boxed_gold(row: Row) -> Item:
    """The gold out of `solution`; empty where it has no box, which is an error unless the row is a known one."""
    from riskpo.rewards.extract import last_box

    solution = text(row, "solution")
    answer = last_box(solution).answer
    if answer is None:
        bare = _UNBRACED.findall(solution)
        answer = bare[-1] if bare else ""
    return Item(text(row, "problem"), answer, source_id(row, "unique_id", "id"))


def _subjects(split: str) -> tuple[Part, ...]:
    return tuple(Part(subject, split) for subject in SUBJECTS)


MATH = DataTask(
    name="math",
    about="competition problems, five levels, seven subjects",
    splits={
        "train": Split(7500, ("math_train",), _subjects("train")),
        "test": Split(5000, ("math_test",), _subjects("test")),
    },
    licence="MIT",
    scorer="math:boxed",
    role="train, benchmark",
    hub="EleutherAI/hendrycks_math",
    also=("nlile/hendrycks-MATH-benchmark", "DigitalLearningGmbH/MATH-lighteval"),
    shapes=(
        questions("problem, answer", "problem"),
        questions("plain: question, answer", "question"),
        Shape("EleutherAI/hendrycks_math: problem, solution", ("problem", "solution"), boxed_gold),
    ),
    template="boxed",
)

MATH500 = DataTask(
    name="math500",
    about="500 of MATH's test problems",
    splits={"test": Split(500, ("math500",), (Part(None, "test"),))},
    licence="MIT (MATH)",
    scorer="math:boxed",
    role="benchmark",
    hub="HuggingFaceH4/MATH-500",
    shapes=(
        questions("HuggingFaceH4/MATH-500: problem, answer", "problem"),
        questions("plain: question, answer", "question"),
    ),
    template="boxed",
)
