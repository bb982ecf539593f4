"""The part of dynamic sampling that knows no engine, by hand: what is mixed, what is drawn, what stands where."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Any

import pytest
import torch
from datasets import Dataset

from riskpo.engines.dynamic_sampling import DrawState, Generation, Refill, draw, mixed_prompts, put, take
from riskpo.errors import ConfigError, EngineError, ResumeError

NAN = float("nan")


@pytest.mark.parametrize(
    ("rewards", "mixed"),
    [
        ([0.0, 1.0, 1.0], True),
        ([0.0, NAN, 1.0], True),
        ([1.0, 1.0, 1.0], False),
        ([0.0, 0.0, 0.0], False),
        ([NAN, 1.0, 1.0], False),  # no outcome is not another outcome
        ([NAN, NAN, 0.0], False),
        ([NAN, NAN, NAN], False),
        ([-1.0, -0.5, -1.0], True),
    ],
)
def test_mixed(rewards: list[float], mixed: bool) -> None:
    # Between two other prompts: the groups are told apart.
    rows = torch.tensor([0.0, 1.0, 0.0, *rewards, 1.0, 1.0, 1.0])
    assert mixed_prompts(rows, 3).tolist() == [True, mixed, False]


# ---- drawing ----

TWELVE = Dataset.from_dict({"prompt": [f"p{number}" for number in range(12)]})


def drawn(count: int, state: DrawState, taken: set[str] | None = None, seed: int = 1) -> tuple[list[str], DrawState]:
    rows, state = draw(TWELVE, count, state, seed, set() if taken is None else taken)
    return [row["prompt"] for row in rows], state


def test_a_turn_gives_every_prompt_once_and_turns_differ() -> None:
    state, turns = DrawState(12), []
    for _ in range(2):
        prompts: list[str] = []
        for count in (5, 0, 4, 3):
            found, state = drawn(count, state)
            prompts += found
        assert sorted(prompts) == sorted(TWELVE["prompt"])
        turns.append(prompts)
    assert turns[0] != turns[1]
    assert state == DrawState(12, 1, 12)
    assert drawn(12, DrawState(12), seed=2)[0] != turns[0]


def test_draws_go_on_from_a_state_and_over_the_end() -> None:
    everything = drawn(12, DrawState(12))[0] + drawn(12, DrawState(12, 1, 0))[0]
    first, state = drawn(10, DrawState(12))
    assert (first, state) == (everything[:10], DrawState(12, 0, 10))
    second, state = drawn(6, state)
    # The last two of the first turn, then the second turn without these two.
    expected = [*everything[10:12], *[name for name in everything[12:] if name not in everything[10:12]]][:6]
    assert second == expected
    assert state.turn == 1


def test_what_the_step_has_is_passed_over() -> None:
    rows = Dataset.from_dict({"prompt": ["a", "b", "c", "d"], "prompt_id": ["x", "x", "y", "z"]})
    taken = {"z"}
    found, state = draw(rows, 2, DrawState(4), 0, taken)
    assert sorted(row["prompt_id"] for row in found) == ["x", "y"]
    assert taken == {"x", "y", "z"}
    with pytest.raises(ConfigError, match="4 rows has no 1 prompts left"):
        draw(rows, 1, state, 0, taken)


def test_a_state_of_another_set() -> None:
    with pytest.raises(ResumeError, match="training set of 13 rows, this one has 12"):
        drawn(1, DrawState(13))


# ---- several generations into one ----


def generation(name: str, prompts: int, width: int, mixed: list[int], rank: int, world: int, **more: Any) -> Generation:
    """G = 2. Rows are told apart by numbers: prompt p of generation n has rewards 10 p and 10 p + 1 above 100 n."""
    base = 100.0 * int(name)
    numbers = base + torch.tensor([[10.0 * p, 10.0 * p + 1] for p in range(prompts)]).flatten()
    mine = numbers[rank * len(numbers) // world : (rank + 1) * len(numbers) // world]
    output = {
        "left": torch.stack([mine] * width, 1),
        "right": torch.stack([mine] * width, 1),
        "share": mine[:, None].clone(),
        "number": mine.clone(),
        "total": numbers.sum(),
        **more,
    }
    inputs = [{"prompt": f"{value:g}"} for value in mine.tolist()]
    table = {("text",): [f"{value:g}" for value in numbers.tolist()], ("extra", name): list(range(len(numbers)))}
    mixed_P = torch.tensor([prompt in mixed for prompt in range(prompts)])
    return Generation(inputs, output, numbers[:, None], table, mixed_P)


PADDINGS: Any = {"left": ("left", -7.0), "right": ("right", -8.0), "share": ("right", 1.0), "number": None}


def two_ranks(rank: int) -> Refill:
    """Two ranks with 3 prompts each; only prompts 1 (rank 0) and 5 (rank 1) are mixed."""
    refill = Refill(generation("0", 6, 2, [1, 5], rank, 2), 2, rank, 2)
    assert refill.wanted == 2
    # 2 prompts per rank. Rank 0 finds both of its places, rank 1 (prompts 2 and 3) one, from its second prompt.
    refill.add(generation("1", 4, 3, [0, 1, 3], rank, 2))
    assert refill.wanted == 1
    # 1 per rank: rank 0's find has no place left and is dropped, rank 1's fills prompt 4.
    refill.add(generation("2", 2, 1, [0, 1], rank, 2))
    assert refill.wanted == 0
    return refill


# Places 0, 2 from generation 1's prompts 0, 1; place 3 from its prompt 3; place 4 from generation 2's prompt 1.
KEPT = [100.0, 101.0, 10.0, 11.0, 110.0, 111.0, 130.0, 131.0, 210.0, 211.0, 50.0, 51.0]


@pytest.mark.parametrize("rank", [0, 1])
def test_two_ranks_by_hand(rank: int) -> None:
    refill = two_ranks(rank)
    mine = KEPT[6 * rank : 6 * rank + 6]
    assert refill.rewards_NF().flatten().tolist() == KEPT
    assert [row["prompt"] for row in refill.inputs()] == [f"{value:g}" for value in mine]
    table = refill.table()
    assert table["text",] == [f"{value:g}" for value in KEPT]
    assert table["extra", "0"] == [None, None, 2, 3, None, None, None, None, None, None, 10, 11]
    assert table["extra", "2"] == [*[None] * 8, 2, 3, None, None]

    output = refill.output(PADDINGS)
    assert output["number"].tolist() == mine
    assert output["share"].flatten().tolist() == mine, "one number a row is not widened"
    width_of = {0: 2, 1: 3, 2: 1}
    for row, value in enumerate(mine):
        width = width_of[int(value) // 100]
        assert output["left"][row].tolist() == [-7.0] * (3 - width) + [value] * width
        assert output["right"][row].tolist() == [value] * width + [-8.0] * (3 - width)
    assert refill.metrics() == {
        "risk/sampling_rounds": 3.0,
        "risk/frac_prompts_replaced": 4 / 6,
        "risk/frac_uniform_after_sampling": 0.0,
    }


def test_a_uniform_prompt_stays_where_none_is_found() -> None:
    refill = Refill(generation("0", 3, 2, [1], 0, 1), 2, 0, 1)
    refill.add(generation("1", 2, 2, [], 0, 1))
    refill.add(generation("2", 2, 2, [1], 0, 1))
    assert refill.rewards_NF().flatten().tolist() == [210.0, 211.0, 10.0, 11.0, 20.0, 21.0]
    assert refill.wanted == 1
    assert "2 refills" in refill.shortfall()
    assert "1 of 3 prompts" in refill.shortfall()


def test_only_kept_generations_set_the_width() -> None:
    refill = Refill(generation("0", 2, 2, [0], 0, 1), 2, 0, 1)
    refill.add(generation("1", 1, 9, [], 0, 1))
    assert refill.output(PADDINGS)["left"].shape == (4, 2)


def test_a_tensor_nobody_told_how_to_merge() -> None:
    refill = Refill(generation("0", 2, 2, [0], 0, 1, pixels=torch.zeros(4, 3)), 2, 0, 1)
    refill.add(generation("1", 1, 2, [0], 0, 1, pixels=torch.zeros(2, 3)))
    with pytest.raises(EngineError, match="'pixels'"):
        refill.output(PADDINGS)
    sometimes = Refill(generation("0", 2, 2, [0], 0, 1), 2, 0, 1)
    sometimes.add(generation("1", 1, 2, [0], 0, 1, pixels=torch.zeros(2, 3)))
    with pytest.raises(EngineError, match="'pixels'"):
        sometimes.output({**PADDINGS, "pixels": None})


def test_fill_stops_at_the_bound_and_keeps_the_loaders_columns() -> None:
    data = Dataset.from_dict({"prompt": [f"{number}" for number in range(40)], "unused": [0] * 40})
    first = generation("0", 4, 2, [0], 1, 2)
    refill = Refill(first, 2, 1, 2)
    seen: list[list[dict[str, Any]]] = []

    def generate(rows: list[dict[str, Any]]) -> Generation:
        seen.append(rows)
        return generation(str(len(seen)), 4, 2, [], 1, 2)

    state = refill.fill(generate, data, DrawState(40), 3, set(), 2)
    # 2 prompts on each of 2 ranks, twice; this rank takes the second half of each draw, G = 2 rows a prompt.
    drawn_rows = [row["prompt"] for row in draw(data, 8, DrawState(40), 3, set())[0]]
    expected = [drawn_rows[2:4], drawn_rows[6:8]]
    assert [[row["prompt"] for row in rows] for rows in seen] == [[a, a, b, b] for a, b in expected]
    assert all(row.keys() == {"prompt"} for rows in seen for row in rows)
    assert state == DrawState(40, 0, 8)


def test_log_columns_come_and_go() -> None:
    def columns() -> dict[str, Any]:
        return {"text": deque(["a", "b"], maxlen=2), "rewards": defaultdict(lambda: deque(maxlen=2)), "none": deque()}

    logs = columns()
    logs["rewards"]["first"].extend([1.0, 2.0])
    table = take(logs)
    assert table == {("text",): ["a", "b"], ("rewards", "first"): [1.0, 2.0], ("none",): []}
    assert not logs["text"]
    fresh = columns()
    fresh["text"].clear()
    put(fresh, table)
    assert list(fresh["rewards"]["first"]) == [1.0, 2.0]
    assert list(fresh["text"]) == ["a", "b"]
