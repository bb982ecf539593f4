"""A risk measure of your own: levels and weights between them, seen before it is trained with.

    python examples/custom_spectrum.py [STEPS]

A spectrum weighs the quantiles of a score's law: here the lowest tenth counts three times, the next four tenths once,
and what lies above the median half as much. `measure="custom"` takes any such steps.
"""

import sys
import tempfile

import torch
from datasets import Dataset

from riskpo import RiskPOConfig, RiskPOTrainer, Spectrum
from riskpo.models.registry import resolve_model
from riskpo.tasks import chain

LEVELS, WEIGHTS = [0.1, 0.5], [3.0, 1.0, 0.5]


def correct(completions, answer, **_):
    return [float(completion == right) for completion, right in zip(completions, answer, strict=True)]


if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    spectrum = Spectrum(levels=tuple(LEVELS), weights=tuple(WEIGHTS))
    # The signal of a score: how much better it is, counted in the weights of the quantiles it passes.
    scores = torch.arange(0.0, 6.0)
    signal = spectrum.signal(scores, torch.tensor([1.0, 3.0]))
    print(f"signal of the scores 0..5 of a bundle, its quantiles being 1 and 3: {signal.tolist()}")

    data = Dataset.from_list(chain.rows("train", 40, seed=1))  # seen again and again: difficulty is known from visits
    with tempfile.TemporaryDirectory() as folder:
        args = RiskPOConfig(
            folder,
            preset="exact",
            measure="custom",
            spectrum_levels=LEVELS,
            spectrum_weights=WEIGHTS,
            composition="sorted",  # bundles of one difficulty: over random ones every measure optimises the mean
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
        trainer = RiskPOTrainer(str(resolve_model("builtin:chain-base", build=True)), correct, args, data)
        trainer.train()
        last = [row for row in trainer.state.log_history if "risk/q_1" in row][-1]
        print(f"reward {last['reward']:.3f}, tracked quantiles {last['risk/q_1']:.2f} and {last['risk/q_2']:.2f}")
