"""Which bundle a response was scored in, and the law of a step's scores, against the advantages themselves."""

import pytest
import torch

from riskpo.risk import RiskConfig, RiskState, risk_advantages
from riskpo.risk.advantages import score_law
from riskpo.risk.presets import PRESETS
from riskpo.risk.quantiles import ScoreLaw


def rewards(prompts=11, responses=4, missing=True):
    generator = torch.Generator().manual_seed(3)
    rewards_PG = (torch.rand(prompts, responses, generator=generator) < 0.5).double()
    if missing:
        rewards_PG[2] = torch.nan
        rewards_PG[5, 1:3] = torch.nan
    return rewards_PG


def test_a_bundles_members_have_its_signal():
    """Random pairing, no baseline: every response of a bundle has A of the bundle's score; two prompts a bundle."""
    rewards_PG = rewards(10, missing=False)
    config = RiskConfig(bundle_size=2, baseline="anchor")
    step = risk_advantages(rewards_PG, config, RiskState(), torch.Generator().manual_seed(0))
    assert step.groups_P.tolist().count(0) == 2
    assert sorted(step.groups_P.tolist()) == sorted([*range(5)] * 2)
    scores = {}
    for p in range(10):
        assert sorted(step.bundles_PG[p].tolist()) == [0, 1, 2, 3]
        for g in range(4):
            place = (int(step.groups_P[p]), int(step.bundles_PG[p, g]))
            score, advantages = scores.get(place, (0.0, []))
            scores[place] = (score + float(rewards_PG[p, g]), [*advantages, float(step.advantages_PG[p, g])])
    signal = {}
    for score, advantages in scores.values():
        assert len(set(advantages)) == 1
        assert signal.setdefault(score, advantages[0]) == advantages[0], "one score, one signal"
    assert len(signal) == 3


def test_who_takes_no_part():
    rewards_PG = rewards()
    step = risk_advantages(rewards_PG, RiskConfig(bundle_size=3), RiskState(), torch.Generator().manual_seed(0))
    assert step.groups_P[2] == -1
    assert (step.groups_P[[0, 1, *range(3, 11)]] >= 0).all()
    assert torch.equal(step.bundles_PG == -1, rewards_PG.isnan())


@pytest.mark.parametrize("options", [{"pairing": "exact"}, {"pairing": "average"}, {"pairing": "approximate"}])
def test_groups_alone_where_there_are_many_bundles(options):
    config = RiskConfig(bundle_size=2, baseline="loo", **options)
    step = risk_advantages(rewards(), config, RiskState(), torch.Generator().manual_seed(0))
    assert step.bundles_PG is None
    assert int(step.groups_P.max()) == 4


@pytest.mark.parametrize("preset", PRESETS)
def test_the_law_is_the_one_that_the_metrics_are_of(preset):
    rewards_PG = rewards(12, 5, missing=False)
    config = RiskConfig.from_preset(preset)
    ids = [str(prompt) for prompt in range(12)]
    step = risk_advantages(rewards_PG, config, RiskState(), torch.Generator().manual_seed(0), prompt_ids=ids)
    law = score_law(rewards_PG, config, RiskState(), torch.Generator().manual_seed(0), prompt_ids=ids)
    if "risk/score_mean" not in step.metrics:
        assert law is None
        return
    assert isinstance(law, ScoreLaw)
    assert law.mean() == pytest.approx(step.metrics["risk/score_mean"])
    assert law.std() == pytest.approx(step.metrics["risk/score_std"])


def test_known_groups_give_the_steps_own_law():
    """Another generator, the same groups: the exact law depends on the composition alone."""
    rewards_PG = rewards(missing=False)[:10]
    config = RiskConfig(bundle_size=5, pairing="exact", baseline="loo")
    step = risk_advantages(rewards_PG, config, RiskState(), torch.Generator().manual_seed(0))
    other = torch.Generator().manual_seed(99)
    law = score_law(rewards_PG, config, RiskState(), other, groups_P=step.groups_P)
    assert law.std() == pytest.approx(step.metrics["risk/score_std"], abs=1e-12)
    anew = score_law(rewards_PG, config, RiskState(), torch.Generator().manual_seed(99))
    assert anew.std() != pytest.approx(step.metrics["risk/score_std"], abs=1e-12)


def test_too_few_prompts_have_no_law():
    config = RiskConfig(bundle_size=5)
    rewards_PG = rewards()[:5]
    assert score_law(rewards_PG, config, RiskState(), torch.Generator()) is None
