"""DAPO-Math-17k (arXiv 2503.14476): competition problems whose answers were turned into integers.

The hub's parquet holds each of its 17,917 rows a hundred times (1,791,700 rows); of rows with the same
`extra_info.index` the first is read. Its prompts carry the frame "Solve the following math problem step by step ...
Answer:", which is taken off here and put on again by the template `dapo`. Known wrong golds, conflicts and repeats:
`riskpo.tasks.defects`, `riskpo tasks check dapo-math-17k`. Not run against the hub.
"""

from __future__ import annotations

from riskpo.tasks.base import DataTask, Part, Split
from riskpo.tasks.shapes import questions, verl_shape
from riskpo.tasks.templates import TEMPLATES

_BEGIN, _END = TEMPLATES["dapo"].text.split("{question}")


def unframed(content: str) -> str:
    """The question without the frame; as it stands where there is none."""
    body = content.strip()
    if body.startswith(_BEGIN.strip()):
        body = body.removeprefix(_BEGIN.strip())
    return body.removesuffix(_END.strip()).strip()


TASK = DataTask(
    name="dapo-math-17k",
    about="competition problems with integer answers, English and Chinese",
    splits={"train": Split(17917, ("dapo_math_17k", "dapo-math-17k"), (Part(None, "train"),))},
    licence="Apache-2.0",
    scorer="math:dapo",
    role="train",
    hub="BytedTsinghua-SIA/DAPO-Math-17k",
    shapes=(verl_shape(unframed), questions("plain: question, answer", "question")),
    template="dapo",
    once="extra_info.index",
)
