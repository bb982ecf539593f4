"""Minerva's 272 undergraduate problems of science and mathematics from MIT OpenCourseWare (arXiv 2206.14858).

Golds carry units and LaTeX. Prompt: Qwen2.5-Math's instruction in the user's turn (template `boxed`), not Minerva's own
four examples, which are for base models. Not run against the hub.
"""

from __future__ import annotations

from riskpo.tasks.base import DataTask, Part, Split
from riskpo.tasks.shapes import questions

TASK = DataTask(
    name="minerva",
    about="undergraduate quantitative problems",
    splits={"test": Split(272, ("minerva", "minerva_math"), (Part(None, "test"),))},
    licence="none stated",
    scorer="math:boxed",
    role="benchmark",
    hub="math-ai/minervamath",
    shapes=(questions("math-ai/minervamath: question, answer", "question"), questions("problem, answer", "problem")),
    template="boxed",
)
