"""The card of a checkpoint: valid for a hub, complete, and never in place of somebody else's."""

import pytest
import yaml

from riskpo.errors import ConfigError
from riskpo.reports.model_card import card_of, write_card
from riskpo.reports.page.record import read_record
from tests.reports.page.made_runs import made_run


@pytest.fixture
def run(tmp_path):
    folder = made_run(tmp_path / "run", arguments={"model_name_or_path": "Qwen/Qwen2.5-0.5B", "dataset": "a/b"})
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text("{}")
    return folder


def test_the_card(run):
    path = write_card(read_record(run))
    text = path.read_text()
    head = yaml.safe_load(text.split("---")[1])
    assert head == {
        "base_model": "Qwen/Qwen2.5-0.5B",
        "datasets": ["a/b"],
        "library_name": "transformers",
        "model_name": "run",
        "tags": ["generated_from_trainer", "trl", "riskpo"],
    }
    for part in ("# Model card for run", "RiskPO, mvar(0.2, 0.8)", "| pass@4 |", "| torch | 2.6.0 |", "2510.00911"):
        assert part in text
    assert write_card(read_record(run)).read_text() == text, "its own card may be replaced"


def test_no_hub_id_is_made_up(tmp_path):
    text = card_of(read_record(made_run(tmp_path / "run")))
    head = yaml.safe_load(text.split("---")[1])
    assert "base_model" not in head
    assert "datasets" not in head
    assert "builtin:chain-base" in text


def test_a_peer_cites_no_paper_of_ours(tmp_path):
    text = card_of(read_record(made_run(tmp_path / "run", arguments={"estimator": "dr_grpo"})))
    assert "2510.00911" not in text
    assert "vonwerra2020trl" in text


def test_somebody_elses_card_stays(run):
    (run / "model" / "README.md").write_text("mine")
    with pytest.raises(ConfigError, match="was not written by riskpo"):
        write_card(read_record(run))
    assert (run / "model" / "README.md").read_text() == "mine"


def test_no_model_no_card(tmp_path):
    with pytest.raises(ConfigError, match="holds no model"):
        write_card(read_record(made_run(tmp_path / "run")))
