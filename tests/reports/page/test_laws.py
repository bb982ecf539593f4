"""Laws of scores and weight by difficulty against brute force and known answers."""

import itertools

import pytest
import torch

from riskpo.errors import DataError
from riskpo.reports.findings import is_sure
from riskpo.reports.page import laws
from riskpo.reports.page.laws import logged_steps, step_laws, weight_windows
from riskpo.reports.page.record import read_record
from riskpo.reports.page.rows import groups_of, read_rows
from riskpo.rollouts.files import read_table
from riskpo.rollouts.read import rollouts_of
from tests.reports.page.made_runs import completion_rows, made_run, write_completions


def logged_of(folder, seed=0):
    record = read_record(folder)
    tables = list(map(read_table, record.completion_files))
    return logged_steps(record, rollouts_of(tables), groups_of(read_rows(record, 0, tables), 0), seed)


def test_the_law_of_a_step_is_that_of_its_bundles(tmp_path):
    """Bundles of two: every pair of responses of the two prompts of a group, groups as the completions name them."""
    found_laws = step_laws(logged_of(made_run(tmp_path / "run")), 0)
    assert [law.step for law in found_laws] == [4, 8, 12, 16, 20]
    for law in found_laws:
        rows = completion_rows(law.step)
        scores = []
        for group in range(4):
            first, second = (
                [row["reward_of_test"] for row in rows if row["prompt"] == f"prompt {2 * group + member}"]
                for member in range(2)
            )
            scores += [a + b for a, b in itertools.product(first, second)]
        shares = {value: scores.count(value) / len(scores) for value in sorted(set(scores))}
        found = dict(zip(law.law.values_N.tolist(), law.law.probs_N.tolist(), strict=True))
        assert {value: share for value, share in found.items() if share > 0} == pytest.approx(shares)


def test_states_have_the_quantiles_that_were_logged(tmp_path):
    logged = logged_of(made_run(tmp_path / "run"))
    for step, state in zip(logged.steps, logged.states, strict=True):
        assert state.quantiles_L == pytest.approx((step.step / 20, 1 + step.step / 20))
    assert logged.progress(logged.steps[0]) == pytest.approx(3 / 20)


def test_the_weight_of_dr_grpo_is_flat(tmp_path, monkeypatch):
    """r minus the mean multiplies every gradient with (G - 1)/G, docs/method.md, section 6."""
    monkeypatch.setattr(laws, "POPULATIONS", 60)
    folder = made_run(tmp_path / "run", arguments={"estimator": "dr_grpo"})
    windows = weight_windows(logged_of(folder), 0)
    assert [(window.first, window.last) for window in windows] == [(n, n) for n in (4, 8, 12, 16, 20)]
    sure = [weight for window in windows for weight in window.weight_b if is_sure(weight, 0.75)]
    assert len(sure) >= 15, "no bin of nothing but right or wrong responses among them: its weight would be 0 +- 0"
    for weight in [*sure, *(window.mean_weight for window in windows)]:
        assert abs(weight.value - 0.75) < 4 * weight.error
    assert step_laws(logged_of(folder), 0) == [], "it has no bundles"


def test_weights_repeat_with_the_seed(tmp_path, monkeypatch):
    monkeypatch.setattr(laws, "POPULATIONS", 2)
    folder = made_run(tmp_path / "run")
    first, again, other = (weight_windows(logged_of(folder), seed) for seed in (0, 0, 1))
    assert [w.mean_weight for w in first] == [w.mean_weight for w in again]
    assert [w.mean_weight for w in first] != [w.mean_weight for w in other]


def test_a_step_too_small_for_its_bundles_is_passed_over(tmp_path):
    folder = made_run(tmp_path / "run")
    write_completions(folder, 8, completion_rows(8, prompts=1))
    logged = logged_of(folder)
    assert [law.step for law in step_laws(logged, 0)] == [4, 12, 16, 20]
    assert torch.tensor([w.mean_weight.value for w in weight_windows(logged, 0)]).isfinite().all()


def test_rewards_outside_the_declared_range(tmp_path):
    folder = made_run(tmp_path / "run", arguments={"reward_range": [0.0, 0.5]})
    with pytest.raises(DataError, match=r"lie between 0 and 1, outside the declared 0 to 0\.5"):
        logged_of(folder)
