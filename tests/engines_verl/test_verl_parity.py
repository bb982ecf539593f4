"""verl's real `compute_advantage` against the numbers that TRL's trainer gave, and the recorded released code."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from riskpo.engines.verl.estimator import Scoring, scoring
from riskpo.engines.verl.options import ESTIMATORS, read_options
from riskpo.errors import EngineError
from riskpo.risk import RiskConfig, RiskState
from riskpo.risk.released import RELEASED
from tests.engines.parity import FILE, NAMES, SEED, STEPS, options_of
from tests.engines_verl.conftest import HAS_VERL, needs_verl

if HAS_VERL:
    from verl.protocol import DataProto
    from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

TOKENS = 7


def batch_of(rewards: list[list[float | None]], uids: list[str], padding: int, seed: int) -> tuple[Any, list[str]]:
    """A shuffled batch of verl with responses of many lengths, the reward on the last token, and padding rows."""
    source = random.Random(seed)
    cells = [(uid, f"{uid}_{g}_0", r) for uid, row in zip(uids, rewards, strict=True) for g, r in enumerate(row)]
    cells += [("padded", f"padded_{number}_0", 0.0) for number in range(padding)]
    source.shuffle(cells)
    token_rewards, mask = torch.zeros(len(cells), TOKENS), torch.zeros(len(cells), TOKENS, dtype=torch.int64)
    for row, (uid, _, reward) in enumerate(cells):
        length = 1 if uid == "padded" else source.randint(1, TOKENS)
        mask[row, :length] = uid != "padded"
        token_rewards[row, length - 1] = float("nan") if reward is None else reward
    data = DataProto.from_single_dict(
        {
            "token_level_rewards": token_rewards,
            "response_mask": mask,
            "uid": np.array([uid for uid, _, _ in cells], dtype=object),
        }
    )
    return data, [key for _, key, _ in cells]


def through_verl(estimator: str, now: Scoring, data: Any) -> Any:
    with scoring(now):
        return compute_advantage_for_multi_trajectories(data, list(now.keys or []), estimator, config={})


def in_order(data: Any, keys: list[str], uids: list[str], responses: int) -> torch.Tensor:
    """advantages_PG from the rows of a batch, which all carry one number at all of their tokens."""
    found = torch.zeros(len(uids), responses, dtype=torch.float64)
    for row, key in enumerate(keys):
        numbers = data.batch["advantages"][row][data.batch["response_mask"][row].bool()]
        if key.startswith("padded"):
            assert not data.batch["advantages"][row].any()
            continue
        uid, place, _ = key.rsplit("_", 2)
        assert (numbers == numbers[0]).all()
        found[uids.index(uid), int(place)] = numbers[0].double()
    return found


@needs_verl
@pytest.mark.parametrize("name", NAMES)
def test_verl_gives_the_advantages_of_trl(name: str) -> None:
    """Rows in another order, padding in between, other uids in every step: the numbers of TRL's trainer to 1e-6."""
    recorded = json.loads(FILE.read_text(encoding="utf-8"))[name]
    given = options_of(name)
    estimator = next((mine for mine, ours in ESTIMATORS.items() if ours == given.get("estimator")), "riskpo")
    options = read_options(estimator, {**given, "seed": SEED})
    state, generator = RiskState(), torch.Generator().manual_seed(options.seed)
    for number, step in enumerate(recorded):
        uids = [f"{number}-{place}" for place in range(len(step["prompts"]))]
        names = dict(zip(uids, step["prompts"], strict=True))
        data, keys = batch_of(step["rewards"], uids, padding=3, seed=number)
        now = Scoring(
            options.risk,
            state,
            generator,
            progress=number / STEPS,
            keys=keys,
            places={uid: place for place, uid in enumerate(uids)},
            prompt_ids=lambda asked, names=names: [names[uid] for uid in asked],
        )
        data = through_verl(estimator, now, data)
        assert now.step is not None
        state = now.step.state
        found = in_order(data, keys, uids, len(step["rewards"][0]))
        torch.testing.assert_close(found, torch.tensor(step["advantages"], dtype=torch.float64), rtol=1e-6, atol=1e-6)
        assert torch.equal(data.batch["advantages"], data.batch["returns"])


def golden_cases() -> list[tuple[str, dict[str, Any]]]:
    """The recorded cases whose settings are a preset's, in a run's way (no tracked quantiles), with its name."""
    folders = [folder for parent in Path(__file__).parents if (folder := parent / "shared" / "golden").is_dir()]
    if not folders:
        pytest.skip("the recorded outputs of the released code lie in ../shared/golden, which is not here")
    found = []
    for case in map(json.loads, (folders[0] / "reference_advantages.jsonl").read_text(encoding="utf-8").splitlines()):
        settings = {key: value for key, value in case["config"].items() if key != "use_mean_as_baseline"}
        for name, preset in RELEASED.items():
            sized = dataclasses.replace(preset, bundle_size=case["bundle_size"])
            if case["q_track"] is None and dataclasses.replace(sized, **settings) == sized:
                found.append((name, case))
    return found


@needs_verl
def test_the_recorded_cases_of_the_released_code() -> None:
    cases = golden_cases()
    assert {name for name, _ in cases} == set(RELEASED)
    for number, (name, case) in enumerate(cases):
        rewards, uids = case["rewards"], [f"u{place}" for place in range(len(case["rewards"]))]
        low, high = min(map(min, rewards)), max(map(max, rewards))
        scale = [low, high if high > low else low + 1.0]
        options = read_options(name, {"reward_range": scale, "bundle_size": case["bundle_size"]})
        data, keys = batch_of(rewards, uids, padding=2, seed=number)
        places = {uid: place for place, uid in enumerate(uids)}
        now = Scoring(options.risk, RiskState(), torch.Generator(), keys=keys, places=places)
        found = in_order(through_verl(name, now, data), keys, uids, len(rewards[0]))
        expected = torch.tensor(case["advantages"], dtype=torch.float64)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@needs_verl
def test_several_outputs_of_one_response_share_its_advantage() -> None:
    rewards = [[1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]]
    uids = [f"u{place}" for place in range(5)]
    rows = [
        (uid, f"{uid}_{g}_{o}", r)
        for uid, pair in zip(uids, rewards, strict=True)
        for g, r in enumerate(pair)
        for o in (0, 1)
    ]
    data = DataProto.from_single_dict(
        {
            "token_level_rewards": torch.tensor([[0.0, r if key.endswith("_1") else 0.25] for _, key, r in rows]),
            "response_mask": torch.ones(len(rows), 2, dtype=torch.int64),
            "uid": np.array([uid for uid, _, _ in rows], dtype=object),
        }
    )
    now = Scoring(RiskConfig(), RiskState(), torch.Generator().manual_seed(0), keys=[key for _, key, _ in rows])
    data = through_verl("riskpo", now, data)
    assert now.rewards_PG is not None
    assert now.rewards_PG.tolist() == rewards  # the last output's
    pairs = data.batch["advantages"].view(10, 2, 2)
    assert (pairs == pairs[:, :1, :1]).all()
    assert len(pairs[:, 0, 0].unique()) > 1


@needs_verl
def test_a_trainer_without_state_is_refused() -> None:
    data, keys = batch_of([[1.0, 0.0]] * 5, [f"u{place}" for place in range(5)], 0, 0)
    with pytest.raises(EngineError, match=r"set trainer\.v1\.trainer_mode to one of riskpo_sync"):
        compute_advantage_for_multi_trajectories(data, keys, "riskpo", config={})
