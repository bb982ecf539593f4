"""The options of the estimator, their presets, and what is allowed. Both engines and the CLI validate through here."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from riskpo.errors import ConfigError, unknown_name
from riskpo.risk.bundles import Grid
from riskpo.risk.quantiles import QuantileTracker
from riskpo.risk.spectrum import Spectrum

CHOICES: dict[str, tuple[str, ...]] = {
    "measure": ("mean", "cvar", "rvar", "mvar", "upper_tail", "custom"),
    "composition": ("random", "consecutive"),
    "pairing": ("random", "average", "exact"),
    "baseline": ("anchor", "batch", "prompt", "loo"),
    "scale": ("none", "batch"),
    "ties": ("step", "continuous"),
}

PRESETS: dict[str, dict[str, Any]] = {
    # The method as published: RiskPO, arXiv 2510.00911, sec. 3 and its hyper-parameters.
    "paper": {},
    # The paper's objective without its sampling noise: exact pairing, and the prompt's other responses as baseline.
    "exact": {"pairing": "exact", "baseline": "loo"},
}


@dataclass(frozen=True)
class RiskConfig:
    """What turns rewards into advantages. The defaults are the paper's (preset `paper`).

    Args:
        measure: `mean`, `cvar` (level risk_low), `rvar`, `mvar`, `upper_tail`, or `custom` (spectrum_levels, _weights).
        risk_low: the lower quantile level (the paper's alpha), in (0, 1).
        risk_high: the upper quantile level (the paper's beta), in (risk_low, 1).
        tail_weight: the extra weight of the tail (the paper's omega), >= 0.
        spectrum_levels: kinks of a `custom` spectrum.
        spectrum_weights: weights of a `custom` spectrum, one more than levels.
        bundle_size: B, prompts per bundle, >= 1.
        composition: which prompts share a bundle: `random` (the paper's) or `consecutive` (in the order of the batch).
        pairing: which responses share a bundle: `random` (the paper's), `average` of num_pairings random ones, or
            `exact` (the expectation over all of them; needs rewards on a grid).
        num_pairings: pairings to average over with pairing `average`, >= 1.
        baseline: `anchor` (the paper's: zero at the top kink), `batch` (minus the step's mean), `prompt` (minus the
            prompt's mean) or `loo` (minus the mean of the prompt's other responses; unbiased).
        scale: `none`, or `batch` (divided by the step's standard deviation, at least scale_floor).
        scale_floor: in units of the reward range, > 0: keeps a step without signal from being blown up.
        ties: `step` (the paper's update as written) or `continuous` (the scores' atoms spread over the grid's cells;
            a biased objective that still has a slope where most scores tie).
        quantile_lr: step of the tracked quantiles, > 0, in units of bundle_size * reward range.
        reward_range: the smallest and the largest reward; declared, never estimated.
        reward_step: the spacing of the reward grid; None for two-valued rewards (the ends of reward_range).

    Raises:
        ConfigError: any value outside these bounds.
    """

    measure: str = "mvar"
    risk_low: float = 0.2
    risk_high: float = 0.8
    tail_weight: float = 0.5
    spectrum_levels: tuple[float, ...] | None = None
    spectrum_weights: tuple[float, ...] | None = None
    bundle_size: int = 5
    composition: str = "random"
    pairing: str = "random"
    num_pairings: int = 8
    baseline: str = "anchor"
    scale: str = "none"
    scale_floor: float = 0.1
    ties: str = "step"
    quantile_lr: float = 0.02
    reward_range: tuple[float, float] = (0.0, 1.0)
    reward_step: float | None = None

    def __post_init__(self) -> None:
        for name in ("spectrum_levels", "spectrum_weights", "reward_range"):
            value = getattr(self, name)
            if isinstance(value, Sequence):  # lists from YAML and the command line
                object.__setattr__(self, name, tuple(float(item) for item in value))
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(unknown_name(f"`{name}`", getattr(self, name), allowed))
        for name in ("bundle_size", "num_pairings"):
            _require(self, name, type(getattr(self, name)) is int and getattr(self, name) >= 1, "an integer >= 1")
        for name in ("risk_low", "risk_high", "tail_weight", "quantile_lr", "scale_floor"):
            _require(self, name, type(getattr(self, name)) in (int, float), "a number")
        _require(self, "risk_low", 0.0 < self.risk_low < 1.0, "strictly between 0 and 1")
        _require(self, "risk_high", 0.0 < self.risk_high < 1.0, "strictly between 0 and 1")
        if self.risk_low >= self.risk_high:
            raise ConfigError(
                f"`risk_low` ({self.risk_low}) must be below `risk_high` ({self.risk_high}); the paper's are 0.2, 0.8."
            )
        _require(self, "tail_weight", 0.0 <= self.tail_weight < math.inf, "a finite number >= 0")
        _require(self, "quantile_lr", 0.0 < self.quantile_lr < math.inf, "a finite number > 0")
        _require(self, "scale_floor", 0.0 < self.scale_floor < math.inf, "a finite number > 0")
        self._check_rewards()
        custom = self.measure == "custom"
        if custom != (self.spectrum_levels is not None) or custom != (self.spectrum_weights is not None):
            raise ConfigError(
                "`spectrum_levels` and `spectrum_weights` belong to measure='custom', which needs both; "
                f"got measure={self.measure!r}, levels {self.spectrum_levels}, weights {self.spectrum_weights}."
            )
        self.spectrum  # noqa: B018  (raises for a spectrum that is none)

    def _check_rewards(self) -> None:
        ends = self.reward_range
        ordered = len(ends) == 2 and all(map(math.isfinite, ends)) and ends[0] < ends[1]
        _require(self, "reward_range", ordered, "two finite numbers, the smaller first")
        if self.reward_step is None:
            return
        cells = (ends[1] - ends[0]) / self.reward_step if self.reward_step > 0.0 else math.nan
        whole = math.isfinite(cells) and cells >= 0.5 and abs(cells - round(cells)) < 1e-6
        _require(self, "reward_step", whole, f"a positive number that divides the reward range {ends}")

    @classmethod
    def from_preset(cls, name: str, overrides: Mapping[str, Any] | None = None) -> RiskConfig:
        """The named preset (one of `PRESETS`), with single options replaced.

        Raises:
            ConfigError: an unknown preset or option (the message names the nearest right one), or a value out of range.
        """
        if name not in PRESETS:
            raise ConfigError(unknown_name("preset", name, PRESETS))
        options = {field.name for field in dataclasses.fields(cls)}
        for option in overrides or {}:
            if option not in options:
                raise ConfigError(unknown_name("option", option, options))
        return cls(**{**PRESETS[name], **(overrides or {})})

    @cached_property
    def spectrum(self) -> Spectrum:
        """The risk measure as levels and weights."""
        if self.measure == "mean":
            return Spectrum.mean()
        if self.measure == "cvar":
            return Spectrum.cvar(self.risk_low)
        if self.measure == "rvar":
            return Spectrum.rvar(self.risk_low, self.risk_high)
        if self.measure == "mvar":
            return Spectrum.mvar(self.risk_low, self.risk_high, self.tail_weight)
        if self.measure == "upper_tail":
            return Spectrum.upper_tail(self.risk_low, self.risk_high, self.tail_weight)
        return Spectrum(self.spectrum_levels or (), self.spectrum_weights or ())

    @property
    def reward_width(self) -> float:
        """r_max - r_min."""
        return self.reward_range[1] - self.reward_range[0]

    @cached_property
    def grid(self) -> Grid:
        """The grid on which rewards are declared to lie."""
        step = self.reward_step or self.reward_width
        return Grid(self.reward_range[0], step, round(self.reward_width / step) + 1)

    @property
    def tie_width(self) -> float:
        """Width of the box that spreads a score's atom: 0, or the grid's spacing with ties `continuous`."""
        return self.grid.spacing if self.ties == "continuous" else 0.0

    @cached_property
    def tracker(self) -> QuantileTracker:
        """The tracker of the spectrum's quantiles, its step in units of reward."""
        step = self.quantile_lr * self.bundle_size * self.reward_width
        return QuantileTracker(self.spectrum.levels, step, self.tie_width)


def _require(config: RiskConfig, name: str, satisfied: bool, allowed: str) -> None:
    if not satisfied:
        raise ConfigError(f"`{name}` must be {allowed}, got {getattr(config, name)!r}.")
