"""AIME 2024 and 2025, and AMC 12 of 2022 and 2023: the benchmarks of 30, 30 and 83 problems with numbers as answers.

Prompt: Qwen2.5-Math's instruction in the user's turn (template `boxed`). Golds stand as the source has them (`025`,
`27.0`): the scorer compares numbers. Not run against the hub.
"""

from __future__ import annotations

from riskpo.tasks.base import DataTask, Part, Split
from riskpo.tasks.shapes import questions

_SHAPES = (questions("problem, answer", "problem"), questions("plain: question, answer", "question"))


def _contest(name: str, about: str, hub: str, rows: int, split: str, files: tuple[str, ...], licence: str) -> DataTask:
    return DataTask(
        name=name,
        about=about,
        splits={"test": Split(rows, files, (Part(None, split),))},
        licence=licence,
        scorer="math:boxed",
        role="benchmark",
        hub=hub,
        shapes=_SHAPES,
        template="boxed",
    )


AIME24 = _contest("aime24", "AIME 2024 I and II", "HuggingFaceH4/aime_2024", 30, "train", ("aime24",), "none stated")
AIME25 = _contest("aime25", "AIME 2025 I and II", "math-ai/aime25", 30, "test", ("aime25",), "none stated")
AMC = _contest(
    "amc", "AMC 12 of 2022 and 2023", "AI-MO/aimo-validation-amc", 83, "train", ("amc", "amc_22_23"), "Apache-2.0"
)
