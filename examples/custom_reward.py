"""A reward of your own: what it gets, what it gives back, and that it is tried before anything expensive.

    python examples/custom_reward.py [STEPS]

Chain arithmetic with partial credit: a quarter for each quarter of the trace that is right, a full mark for all of it.
"""

import sys
import tempfile

from datasets import Dataset

from riskpo import RiskPOConfig, RiskPOTrainer
from riskpo.models.registry import resolve_model
from riskpo.tasks import chain


def partial_credit(completions, answer, **_):
    """TRL's signature: the completions, and every column of the data set by its name; one number a completion.

    None says that a completion could not be judged. It then counts for nothing; 0 would say that it is wrong.
    """
    scores = []
    for completion, gold in zip(completions, answer, strict=True):
        if not gold:
            scores.append(None)
            continue
        right = 0
        while right < min(len(completion), len(gold)) and completion[right] == gold[right]:
            right += 1
        scores.append(1.0 if completion == gold else int(4 * right / len(gold)) / 4)
    return scores


if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    data = Dataset.from_list(chain.rows("train", 20 * steps, seed=1))
    with tempfile.TemporaryDirectory() as folder:
        args = RiskPOConfig(
            folder,
            preset="exact",
            reward_range=[0.0, 1.0],
            reward_step=0.25,  # exact pairing needs rewards on a grid, and this is the grid
            num_generations=8,
            per_device_train_batch_size=160,
            max_completion_length=9,
            max_steps=steps,
            learning_rate=6e-4,
            lr_scheduler_type="constant",
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
        )
        model = str(resolve_model("builtin:chain-base", build=True))
        # The reward is called on two rows before the first generation: one that raises is found at once.
        trainer = RiskPOTrainer(model, partial_credit, args, data)
        trainer.train()
        rewards = [row["reward"] for row in trainer.state.log_history if "reward" in row]
        print(f"mean reward {rewards[0]:.3f} -> {rewards[-1]:.3f} after {steps} steps")
