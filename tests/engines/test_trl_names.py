"""The names of TRL that this package relies on without TRL's promise. A red test here: read TRL's change log first."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from datasets import Dataset
from trl import GRPOTrainer

from riskpo.engines.trl import PRIVATE_NAMES
from riskpo.engines.trl_config import LOSS_TYPES
from tests.engines.conftest import make_config, make_trainer


def test_methods_exist() -> None:
    missing = [name for name in PRIVATE_NAMES["methods"] if not callable(getattr(GRPOTrainer, name, None))]
    assert not missing, f"TRL has dropped {missing}"


def test_attributes_exist(tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    trainer = make_trainer(tiny_model, make_config(tmp_path), prompts)
    missing = [name for name in PRIVATE_NAMES["attributes"] if not hasattr(trainer, name)]
    assert not missing, f"TRL has dropped {missing}"
    assert {"prompt", "completion", "rewards", "advantages", "extra"} <= set(trainer._logs)


def test_signatures_are_unchanged() -> None:
    def parameters(name: str) -> list[str]:
        return list(inspect.signature(getattr(GRPOTrainer, name)).parameters)

    assert parameters("_calculate_rewards") == ["self", "inputs", "prompts", "completions", "completion_ids_list"]
    assert parameters("_generate_and_score_completions") == ["self", "inputs"]
    assert parameters("_get_train_sampler") == ["self", "dataset"]
    expected = ["self", "model", "input_ids", "attention_mask", "logits_to_keep", "batch_size"]
    assert parameters("_get_per_token_logps_and_entropies")[:6] == expected


def test_the_constructor_takes_what_trl_takes() -> None:
    # The first five by position, as in TRL; the others by name.
    first = list(inspect.signature(GRPOTrainer.__init__).parameters)[1:6]
    assert first == ["model", "reward_funcs", "args", "train_dataset", "eval_dataset"]


def test_the_loss_types_are_trls() -> None:
    # TRL names them in the branches of its loss only.
    source = inspect.getsource(GRPOTrainer._compute_loss)
    compared = re.findall(r"self\.loss_type (?:==|in) (\[[^\]]*\]|\"\w+\")", source)
    assert {name for part in compared for name in re.findall(r"\"(\w+)\"", part)} == set(LOSS_TYPES)
