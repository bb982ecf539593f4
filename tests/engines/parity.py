"""The contract between the engines: advantages that TRL's trainer gave its loss, which verl's must equal.

The two live in environments of their own, so the numbers go through a file. `python -m tests.engines.parity` writes it
with TRL; tests/engines/test_trl_parity.py holds TRL to it, tests/engines_verl/test_verl_parity.py holds verl.
"""

from __future__ import annotations

import json
import tempfile
import zlib
from pathlib import Path
from typing import Any

from riskpo.risk.config import CHOICES, USES
from riskpo.risk.peers import PEERS
from riskpo.risk.presets import PRESETS

FILE = Path(__file__).with_name("parity.json")
PROMPTS, RESPONSES, STEPS, SEED = 10, 4, 3, 5
NAMES = [*PRESETS, *(name for name in CHOICES["estimator"] if name != "riskpo")]


def options_of(name: str) -> dict[str, Any]:
    """A preset, else an estimator with its own defaults; pass@k of few enough responses."""
    if name in PRESETS:
        return {"preset": name}
    return {"estimator": name, **({"k": 2} if name in PEERS and "k" in USES[name] else {})}


def prescribed(prompts: list[Any], trainer_state: Any, **_: Any) -> list[float | None]:
    """0, 1 or (one in 16) unscorable, by prompt, place and step: no model has a say in it."""
    step, rewards = trainer_state.global_step, []
    for row, prompt in enumerate(prompts):
        draw = zlib.crc32(f"{prompt}|{row % RESPONSES}|{step}".encode())
        rate = zlib.crc32(str(prompt).encode()) % 5
        rewards.append(None if draw % 16 == 0 else float(draw // 16 % 5 < rate))
    return rewards


def run_trl(name: str, model: str, data: Any, folder: Path) -> list[dict[str, Any]]:
    """Three steps of the real trainer: prompts, rewards and the advantages that reached the loss."""
    from riskpo import RiskPOTrainer
    from tests.engines.conftest import make_config, make_trainer

    class Noted(RiskPOTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
            output: dict[str, Any] = super()._generate_and_score_completions(inputs)
            table = self.last_completions()
            rewards = self._rewards_per_func[:, 0].view(PROMPTS, RESPONSES).double()
            one = {
                "prompts": table["prompt"][::RESPONSES],
                "rewards": [[None if r != r else r for r in row] for row in rewards.tolist()],
                "advantages": output["advantages"].view(PROMPTS, RESPONSES).double().tolist(),
            }
            self.noted = [*getattr(self, "noted", []), one]
            return output

    args = make_config(folder, max_steps=STEPS, seed=SEED, learning_rate=0.0, check_rewards=False, **options_of(name))
    trainer = make_trainer(model, args, data, reward=prescribed, kind=Noted)
    trainer.train()
    return list(trainer.noted)


def write() -> None:
    """Writes the file anew."""
    import torch
    from datasets import Dataset

    from riskpo.models.chain_base import WarmUp, make_model, make_tokenizer
    from riskpo.tasks import chain

    with tempfile.TemporaryDirectory() as scratch:
        torch.manual_seed(0)
        tokenizer = make_tokenizer()
        make_model(WarmUp(width=16, layers=1, heads=2, initializer_range=0.3), tokenizer).save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        data = Dataset.from_list(chain.rows("train", 40, seed=3))
        cases = {name: run_trl(name, scratch, data, Path(scratch) / name) for name in NAMES}
    FILE.write_text(json.dumps(cases) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
