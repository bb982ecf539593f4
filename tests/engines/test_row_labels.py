"""What a table of completions says of bundles and gold answers, by hand."""

import torch

from riskpo.engines.row_labels import bundle_labels, gold_answers
from riskpo.risk.state import RiskState, RiskStep


def step(groups_P, bundles_PG=None):
    return RiskStep(torch.zeros(len(groups_P), 2), {}, RiskState(), torch.tensor(groups_P), bundles_PG)


def test_gold_answers():
    rows = [{"answer": "a"}, {"answer": 7}, {"answer": 0.5}, {"answer": None}, {"answer": ["x"]}]
    assert gold_answers(rows) == ["a", "7", "0.5", None, None]
    assert gold_answers([{"prompt": "p"}]) is None
    assert gold_answers([]) is None


def test_groups_where_a_response_is_in_many_bundles():
    assert bundle_labels(step([1, -1, 0])) == {"bundle": ["1", "1", None, None, "0", "0"]}


def test_bundles_where_it_is_in_one():
    bundles_PG = torch.tensor([[1, 0], [-1, -1], [0, -1]])
    assert bundle_labels(step([1, -1, 0], bundles_PG)) == {"bundle": ["1.1", "1.0", None, None, "0.0", None]}


def test_none_for_an_estimator_without_bundles():
    assert bundle_labels(RiskStep(torch.zeros(1, 2), {}, RiskState())) == {}
