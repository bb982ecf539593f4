"""What a table of completions says of a row besides texts, rewards and advantage. All of it text: no reward column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from riskpo.risk.state import RiskStep


def gold_answers(rows: Sequence[Mapping[str, Any]]) -> list[str | None] | None:
    """The column `answer` of data rows; None where they have none, and for an answer that is no text or number."""
    if not rows or "answer" not in rows[0]:
        return None
    answers = [row["answer"] for row in rows]
    return [str(answer) if isinstance(answer, (str, int, float)) else None for answer in answers]


def bundle_labels(step: RiskStep) -> dict[str, list[str | None]]:
    """The column `bundle`, a text for each response of a step, prompt by prompt.

    `3.5` is bundle 5 of group 3, both from 0; `3` alone where the response was scored in more than one bundle of its
    group. None for a response that took no part. No column for an estimator without bundles.
    """
    if step.groups_P is None:
        return {}
    groups, responses = step.groups_P.tolist(), step.advantages_PG.shape[1]
    if step.bundles_PG is None:
        return {"bundle": [None if group < 0 else str(group) for group in groups for _ in range(responses)]}
    pairs = zip(groups, step.bundles_PG.tolist(), strict=True)
    return {"bundle": [None if one < 0 else f"{group}.{one}" for group, row in pairs for one in row]}
