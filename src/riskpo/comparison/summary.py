"""All numbers of a comparison as one JSON value: what is printed, drawn and written is read from it.

It depends on the finished cells alone, not on the order in which they ran, nor on how often they were interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from riskpo.comparison.bands import band
from riskpo.comparison.conclude import conclude, entry_interval
from riskpo.comparison.design import Design
from riskpo.comparison.results import CURVES, RunResult
from riskpo.comparison.tuning import SEED as TUNING_SEED
from riskpo.comparison.tuning import Choice
from riskpo.errors import ResumeError
from riskpo.evaluation.bounds import LEVEL
from riskpo.evaluation.power import POWER


def summarise(design: Design, runs: Mapping[str, Sequence[RunResult]], choices: Mapping[str, Choice]) -> dict[str, Any]:
    """The numbers of what is finished.

    Args:
        design: of the comparison.
        runs: the finished runs of each entry.
        choices: what the tuning said of each entry; empty where nothing was tuned.
    """
    run, ks = design.first.run, design.first.run.eval_ks
    methods = design.methods()
    contrasts = conclude(runs, design.asked.baseline, ks)
    primary = contrasts[f"pass@{ks[0]}"]
    entries = {}
    for label, plan in design.plans.items():
        rate = choices[label].chosen if choices else f"{plan.training.learning_rate:g}"
        entries[label] = {"method": methods[label], "learning_rate": rate, "steps": plan.training.max_steps}
        _check_rates(label, rate, runs[label])
        ends = {"reward": plan.training.risk_config.reward_range, "entropy": (0.0, math.inf)}
        entries[label] |= _entry(sorted(runs[label], key=lambda r: r.seed), design.asked.seeds, ks, ends)
    found = {
        "recipe": design.first.name,
        "baseline": design.asked.baseline,
        "seeds": design.asked.seeds,
        "level": LEVEL,
        "power": POWER,
        "scores": [f"pass@{k}" for k in ks],
        "prompts": run.eval_prompts,
        "samples": run.eval_samples,
        "before": _before(runs, ks),
        "entries": entries,
        "tuning": _tuning(design, choices),
        "contrasts": {metric: [one.as_dict() for one in rows] for metric, rows in contrasts.items()},
        "sentences": [one.sentence for one in primary],
    }
    return {**found, "notes": _notes(design, runs, entries, choices)}


def _check_rates(label: str, rate: str | None, runs: Sequence[RunResult]) -> None:
    """Raises ResumeError where a finished run was trained with another learning rate than the table would say."""
    known = {run.seed: run.learning_rate for run in runs if run.learning_rate is not None}
    if rate is None or all(math.isclose(value, float(rate), rel_tol=1e-9) for value in known.values()):
        return
    other = {seed: value for seed, value in known.items() if not math.isclose(value, float(rate), rel_tol=1e-9)}
    said = ", ".join(f"seed {seed}: {value:g}" for seed, value in sorted(other.items()))
    raise ResumeError(
        f"{label}: the trials choose learning rate {rate} now, and finished runs were trained with another ({said}). "
        "Trials were removed or done again since: move those runs away, or compare with --no-tune in another folder."
    )


def _entry(
    runs: Sequence[RunResult], seeds: int, ks: Sequence[int], ends: Mapping[str, tuple[float, float]]
) -> dict[str, Any]:
    done = [run.seed for run in runs]
    found: dict[str, Any] = {"done": done, "missing": [seed for seed in range(seeds) if seed not in done]}
    if not runs:
        return {**found, "scores": {}, "entropy": None, "unscorable": None, "curves": {}}
    scores = {
        f"pass@{k}": {**entry_interval(runs, k).as_dict(), "by_seed": {str(run.seed): run.score(k) for run in runs}}
        for k in ks
    }
    return {
        **found,
        "scores": scores,
        "entropy": float(np.mean([run.entropy for run in runs])),
        "unscorable": float(np.mean([run.unscorable for run in runs])),
        "curves": {name: band([run.curves[name] for run in runs], ends[name]) for name in CURVES},
    }


def _before(runs: Mapping[str, Sequence[RunResult]], ks: Sequence[int]) -> dict[str, float]:
    """pass@k of the model that all begin with: every seed samples it anew, and each seed counts once."""
    by_seed = {run.seed: run for one in runs.values() for run in one}
    if not by_seed:
        return {}
    return {f"pass@{k}": float(np.mean([by_seed[seed].score_before(k) for seed in sorted(by_seed)])) for k in ks}


def _tuning(design: Design, choices: Mapping[str, Choice]) -> dict[str, Any] | None:
    if not choices:
        return None
    steps = design.asked.tune_steps or design.first.training.max_steps
    trials = {label: choice.as_dict() for label, choice in choices.items()}
    return {"seed": TUNING_SEED, "options": list(design.tuning), "steps": steps, "entries": trials}


def _notes(
    design: Design,
    runs: Mapping[str, Sequence[RunResult]],
    entries: Mapping[str, Mapping[str, Any]],
    choices: Mapping[str, Choice],
) -> list[str]:
    notes = []
    if not choices:
        rates = {label: entry["learning_rate"] for label, entry in entries.items()}
        same = len(set(rates.values())) == 1
        said = next(iter(rates.values())) if same else ", ".join(f"{label} {rate}" for label, rate in rates.items())
        notes.append(
            f"nothing was tuned (--no-tune): learning rate {said}. A rate that suits one estimator may not suit "
            "another."
        )
    for label, choice in choices.items():
        if choice.missing:
            notes.append(f"{label}: no learning rate is chosen yet, trials missing: {', '.join(choice.missing)}.")
        elif choice.alike:
            alike = ", ".join(choice.alike)
            notes.append(
                f"{label}: the learning rates {alike} score alike, and the smallest is taken."
                if len(choice.alike) < len(choice.trials)
                else f"{label}: all learning rates score alike; the trials say nothing, and the smallest is taken."
            )
        elif choice.at_edge:
            notes.append(
                f"{label}: the best learning rate, {choice.chosen}, is the {choice.at_edge} that was tried; a better "
                "one may lie beyond."
            )
    if choices and design.first.run.eval_ks[0] != 1:
        notes.append(f"learning rates are chosen by pass@1, entries are judged by pass@{design.first.run.eval_ks[0]}.")
    done = {label: entry["done"] for label, entry in entries.items()}
    if len({tuple(seeds) for seeds in done.values()}) > 1:
        listed = "; ".join(f"{label} {', '.join(map(str, seeds)) or 'none'}" for label, seeds in done.items())
        notes.append(f"the means are over different seeds ({listed}); differences are over those that both have.")
        baseline = design.asked.baseline
        others = [seeds for label, seeds in done.items() if label != baseline]
        if any(len(set(seeds) & set(done[baseline])) == 1 for seeds in others):
            notes.append("where two entries share one finished seed so far, the comparison is over questions alone.")
    missing = sum(len(entry["missing"]) for entry in entries.values())
    if missing:
        total = len(entries) * design.asked.seeds
        notes.append(f"{total - missing} of {total} runs are finished: this table is of these.")
    if design.asked.seeds == 1:
        notes.append("one seed: the intervals are over questions, and say nothing of what another seed would give.")
    steps = {entry["steps"] for entry in entries.values()}
    if len(steps) > 1:
        notes.append(f"the entries were trained for different numbers of steps: {sorted(steps)}.")
    if any((entry["unscorable"] or 0) > 0 for entry in entries.values()):
        notes.append("samples that could not be judged count as wrong here.")
    return [*notes, *_not_finite(runs), *_versions(runs)]


def _not_finite(runs: Mapping[str, Sequence[RunResult]]) -> list[str]:
    """Steps that one run lacks are missing from the mean of all."""
    bad = [
        f"{label} seed {run.seed}: {name} {count}"
        for label, one in runs.items()
        for run in sorted(one, key=lambda r: r.seed)
        for name, count in run.not_finite.items()
    ]
    return [f"the curves leave out logged values that were not finite ({'; '.join(bad)})."] if bad else []


def _versions(runs: Mapping[str, Sequence[RunResult]]) -> list[str]:
    """Runs of different versions are perhaps not runs of one thing."""
    every = [run.versions for one in runs.values() for run in one]
    names = sorted({name for versions in every for name in versions})
    differing = {name: sorted({versions[name] for versions in every}) for name in names}
    said = [f"{name} {', '.join(values)}" for name, values in differing.items() if len(values) > 1]
    return [f"the runs are of different versions: {'; '.join(said)}."] if said else []
