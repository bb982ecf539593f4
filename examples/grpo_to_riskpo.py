"""From a GRPO script to RiskPO: three lines.

    python examples/grpo_to_riskpo.py [STEPS]

    -from trl import GRPOConfig, GRPOTrainer
    +from riskpo import RiskPOConfig, RiskPOTrainer
    -args = GRPOConfig(
    +args = RiskPOConfig(
    -trainer = GRPOTrainer(model, correct, args, data)
    +trainer = RiskPOTrainer(model, correct, args, data)

Everything else stays: model, reward functions, data set, and the options of GRPOConfig. New are those of the estimator:
`preset`, `estimator`, `measure`, ... (docs/method.md). The defaults of `loss_type`, `importance_sampling_level` and
`scale_rewards` are the paper's; name them to keep TRL's own.
"""

import sys
import tempfile

from datasets import Dataset

from riskpo import RiskPOConfig, RiskPOTrainer
from riskpo.models.registry import resolve_model
from riskpo.tasks import chain


def correct(completions, answer, **_):
    return [float(completion == right) for completion, right in zip(completions, answer, strict=True)]


if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    data = Dataset.from_list(chain.rows("train", 20 * steps, seed=1))
    model = str(resolve_model("builtin:chain-base", build=True))
    with tempfile.TemporaryDirectory() as folder:
        args = RiskPOConfig(
            folder,
            preset="exact",  # new; without it the method as published
            num_generations=8,
            per_device_train_batch_size=160,
            max_completion_length=9,
            max_steps=steps,
            learning_rate=6e-4,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
        )
        trainer = RiskPOTrainer(model, correct, args, data)
        trainer.train()
        last = [row for row in trainer.state.log_history if "reward" in row][-1]
        risk = {name: round(value, 3) for name, value in last.items() if name.startswith("risk/q_")}
        print(f"reward {last['reward']:.3f}, tracked quantiles {risk}")
