"""Rows of a batch in any order, with padding, lost and repeated outputs: the matrix of rewards and the way back."""

from __future__ import annotations

import math
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from riskpo.engines.verl.rows import lay_out, uid_of
from riskpo.errors import EngineError


def test_a_batch_by_hand() -> None:
    uids = ["b", "pad0", "a", "b", "a", "a", "pad0"]
    keys = ["b_1_0", "pad0_0_0", "a_0_0", "b_0_0", "a_0_1", "a_2_0", "pad0_1_0"]
    layout = lay_out(uids, keys, {"a": 0, "b": 1})
    assert (layout.uids, layout.responses) == (("a", "b"), 2)
    assert layout.cell_N.tolist() == [3, -1, 0, 2, 0, 1, -1]
    assert layout.scored_N.tolist() == [True, False, False, True, True, True, False]  # a_0_1 is the last of a's first
    scores = torch.tensor([0.3, 9.0, 0.5, 0.2, 0.1, 0.7, 9.0])
    torch.testing.assert_close(layout.matrix(scores), torch.tensor([[0.1, 0.7], [0.2, 0.3]]))
    back = layout.rows(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert back.tolist() == [4.0, 0.0, 1.0, 3.0, 1.0, 2.0, 0.0]


def test_without_keys_every_row_is_a_response_and_prompts_come_as_they_stand() -> None:
    layout = lay_out(["x", "y", "x", "y"])
    assert layout.uids == ("x", "y")
    assert layout.cell_N.tolist() == [0, 2, 1, 3]


def test_a_lost_response_is_no_partner() -> None:
    layout = lay_out(["x", "x", "y"], ["x_0_0", "x_1_0", "y_1_0"])
    matrix = layout.matrix(torch.tensor([1.0, 0.0, 1.0]))
    assert matrix[0].tolist() == [1.0, 0.0]
    assert matrix[1, 0] == 1.0
    assert math.isnan(matrix[1, 1])


def test_a_prompt_that_lost_everything_is_a_row_of_nothing() -> None:
    layout = lay_out(["x", "x"], ["x_0_0", "x_1_0"], prompts=3)
    matrix = layout.matrix(torch.tensor([1.0, 0.0]))
    assert (layout.lost, matrix.shape) == (2, (3, 2))
    assert matrix[1:].isnan().all()
    assert layout.rows(torch.tensor([[1.0, 2.0], [0.0, 0.0], [0.0, 0.0]])).tolist() == [1.0, 2.0]


@given(
    responses=st.lists(st.integers(1, 4), min_size=1, max_size=6),
    padding=st.integers(0, 5),
    seed=st.integers(0, 10_000),
)
def test_any_order_of_rows_gives_the_same_matrix_and_the_way_back(
    responses: list[int], padding: int, seed: int
) -> None:
    source = random.Random(seed)
    rows = [
        (f"u{p}", f"u{p}_{g}_{o}") for p, n in enumerate(responses) for g in range(n) for o in range(1 + (p + g) % 2)
    ]
    rows += [("padx", f"padx_{number}_0") for number in range(padding)]
    value = {key: float(number + 1) for number, (_, key) in enumerate(rows)}
    places = {f"u{p}": p for p in range(len(responses))}
    first = lay_out([uid for uid, _ in rows], [key for _, key in rows], places)
    expected = first.matrix(torch.tensor([value[key] for _, key in rows]))
    source.shuffle(rows)
    layout = lay_out([uid for uid, _ in rows], [key for _, key in rows], places)
    found = layout.matrix(torch.tensor([value[key] for _, key in rows]))
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
    back = layout.rows(found.nan_to_num(0.0))
    for (uid, key), got in zip(rows, back.tolist(), strict=True):
        last = max(other for _, other in rows if other.rsplit("_", 1)[0] == key.rsplit("_", 1)[0])
        assert got == (0.0 if uid.startswith("pad") else value[last])


@pytest.mark.parametrize(
    ("uids", "keys", "message"),
    [
        (["a"], ["a_0_0", "a_1_0"], "2 keys for 1 rows"),
        (["a"], ["a-0-0"], "has the key 'a-0-0'"),
        (["a"], ["b_0_0"], "has the key 'b_0_0'"),
        (["a", "a"], ["a_0_0", "a_0_0"], "two rows of a batch are output 0 of response 0 of prompt a"),
        (["pad1"], ["pad1_0_0"], "without a single response"),
    ],
)
def test_what_verl_would_never_hand_over(uids: list[str], keys: list[str], message: str) -> None:
    with pytest.raises(EngineError, match=message):
        lay_out(uids, keys)


def test_the_prompt_of_a_key() -> None:
    assert uid_of("3f2a_10_2") == "3f2a"
    assert uid_of("with_underscore_0_0") == "with_underscore"
