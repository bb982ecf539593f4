"""From the rows of a verl batch to rewards_PG and back. Rows are known by their uid, never by their place.

verl shuffles a batch before advantages are computed (it balances sequence lengths over workers), appends padding rows,
may lose responses, and lets one response be several rows (agents that rewrite their context).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from riskpo.errors import EngineError

# How the uid of rows begins that verl appends to make a batch divisible; all others are UUIDs.
PADDING = "pad"


@dataclass(frozen=True)
class Layout:
    """Where the rows of a batch stand among P prompts x G responses.

    Args:
        uids: of the P prompts, in the order in which they are scored.
        lost: prompts of which no response arrived; they come last, and have no uid.
        responses: G, the most responses that a prompt has.
        cell_N: p * G + g of each row; -1 for padding.
        scored_N: the rows whose score counts: the last one of each response.
    """

    uids: tuple[str, ...]
    responses: int
    cell_N: Tensor
    scored_N: Tensor
    lost: int = 0

    def matrix(self, values_N: Tensor) -> Tensor:
        """values_PG of the scored rows; NaN where a prompt has fewer than G responses, or none."""
        prompts = len(self.uids) + self.lost
        values_C = values_N.new_full((prompts * self.responses,), torch.nan)
        values_C[self.cell_N[self.scored_N]] = values_N[self.scored_N]
        return values_C.view(prompts, self.responses)

    def rows(self, values_PG: Tensor) -> Tensor:
        """values_N: every row of a response has its response's value, padding has 0."""
        values_N = values_PG.flatten()[self.cell_N.clamp(min=0)]
        return values_N.masked_fill(self.cell_N < 0, 0.0)


def lay_out(
    uids_N: Sequence[str],
    keys_N: Sequence[str] | None = None,
    places: Mapping[str, Any] | None = None,
    prompts: int = 0,
) -> Layout:
    """The layout of a batch.

    Args:
        uids_N: the prompt of each row.
        keys_N: `{uid}_{session}_{output}` of each row: a session is a response, whose last output has its score. None:
            every row is a response.
        places: a sortable place for each prompt; None: prompts come in the order of their first rows.
        prompts: how many prompts the step was meant to have; more than there are: the others were lost.

    Raises:
        EngineError: keys of another form or number, a row twice, or nothing but padding.
    """
    if keys_N is not None and len(keys_N) != len(uids_N):
        raise EngineError(f"{len(keys_N)} keys for {len(uids_N)} rows: this version of verl is not supported.")
    last: dict[str, dict[int, tuple[int, int]]] = {}  # uid to session to (output, row)
    sessions_N = []
    for row, uid in enumerate(uids_N):
        session, output = (row, 0) if keys_N is None else _parts(keys_N[row], uid)
        sessions_N.append(session)
        if uid.startswith(PADDING):
            continue
        outputs = last.setdefault(uid, {})
        if session not in outputs or outputs[session][0] < output:
            outputs[session] = (output, row)
        elif outputs[session][0] == output:
            raise EngineError(f"two rows of a batch are output {output} of response {session} of prompt {uid}.")
    if not last:
        raise EngineError("verl handed over a batch without a single response.")
    uids = tuple(last) if places is None else tuple(sorted(last, key=places.__getitem__))
    responses = max(map(len, last.values()))
    cells: dict[tuple[str, int], int] = {}
    scored_N = torch.zeros(len(uids_N), dtype=torch.bool)
    for prompt, uid in enumerate(uids):
        for response, session in enumerate(sorted(last[uid])):
            cells[uid, session] = prompt * responses + response
            scored_N[last[uid][session][1]] = True
    cell_N = torch.tensor([cells.get(pair, -1) for pair in zip(uids_N, sessions_N, strict=True)])
    return Layout(uids, responses, cell_N, scored_N, max(prompts - len(uids), 0))


def uid_of(key: str) -> str:
    """The prompt of a row, from its key."""
    return key.rsplit("_", 2)[0]


def _parts(key: str, uid: str) -> tuple[int, int]:
    head, *numbers = key.rsplit("_", 2)
    if head != uid or len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
        raise EngineError(f"the row of prompt {uid} has the key {key!r}: this version of verl is not supported.")
    return int(numbers[0]), int(numbers[1])
