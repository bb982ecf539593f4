"""The options of the estimators, and what is allowed. Both engines and the CLI validate through here."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from riskpo.errors import ConfigError, unknown_name
from riskpo.risk.bundles import Grid, splitting_grid
from riskpo.risk.peers import PEERS
from riskpo.risk.presets import ESTIMATOR_DEFAULTS, PRESETS
from riskpo.risk.quantiles import QuantileTracker
from riskpo.risk.released import RELEASED
from riskpo.risk.schedules import SCHEDULABLE, AdaptiveLevel, Schedule, parse_schedule
from riskpo.risk.spectrum import Spectrum

RELEASED_NAMES = tuple(RELEASED)

CHOICES: dict[str, tuple[str, ...]] = {
    "estimator": ("riskpo", "two_level", *RELEASED_NAMES, *PEERS),
    "measure": ("mean", "cvar", "rvar", "mvar", "upper_tail", "custom"),
    "composition": ("random", "consecutive", "sorted", "stratified"),
    "pairing": ("random", "average", "exact", "approximate"),
    "baseline": ("anchor", "batch", "prompt", "loo"),
    "inner": ("mean", "entropic", "pass_at_k", "upper_tail"),
    "scale": ("none", "batch"),
    "ties": ("step", "continuous"),
}

_COMMON = {"estimator", "scale", "scale_floor", "reward_range"}
_SPECTRUM = {"measure", "risk_low", "risk_high", "tail_weight", "spectrum_levels", "spectrum_weights"}
_BUNDLES = {"bundle_size", "composition", "baseline", "quantile_lr", "reward_step", "difficulty_decay"}
_CHANGING = {"schedule", "adaptive_slope", "adaptive_lr"}
_PAIRING = {"pairing", "num_pairings", "ties", "approximation_error"}
_INNER = {"inner", "inner_share", "entropic_beta", "k"}
# The options that each estimator reads: one that is given to an estimator that ignores it is a mistake.
USES: dict[str, frozenset[str]] = {
    "riskpo": frozenset(_COMMON | _SPECTRUM | _BUNDLES | _CHANGING | _PAIRING),
    "two_level": frozenset(_COMMON | _SPECTRUM | _BUNDLES | _CHANGING | _INNER),
    **{name: frozenset(_COMMON | {"risk_low", "risk_high", "bundle_size"}) for name in RELEASED_NAMES},
    **{
        name: frozenset(_COMMON | peer.options | ({"schedule"} if peer.options & set(SCHEDULABLE) else set()))
        for name, peer in PEERS.items()
    },
}


@dataclass(frozen=True)
class RiskConfig:
    """What turns rewards into advantages. The defaults are the paper's (preset `paper`), whatever the estimator.

    `from_preset`, which engines and command line call, also applies an estimator's own defaults and refuses options
    that would have no effect.

    Args:
        estimator: `riskpo` (risk over bundles of responses), `two_level` (an inner objective over a prompt's responses,
            the risk measure over prompts or bundles of them), `released_...`, or one of `riskpo.risk.peers.PEERS`.
        measure: `mean`, `cvar` (level risk_low), `rvar`, `mvar`, `upper_tail`, or `custom` (spectrum_levels, _weights).
        risk_low: the lower quantile level (the paper's alpha), in (0, 1).
        risk_high: the upper quantile level (the paper's beta), in (risk_low, 1).
        tail_weight: the extra weight of the tail (the paper's omega), >= 0.
        spectrum_levels: kinks of a `custom` spectrum.
        spectrum_weights: weights of a `custom` spectrum, one more than levels.
        bundle_size: B, prompts per bundle, >= 1.
        composition: which prompts share a bundle: `random` (the paper's), `consecutive` (in the order of the batch),
            `sorted` (of one difficulty, by the running pass rate of past steps) or `stratified` (of all difficulties).
        pairing: which responses share a bundle: `random` (the paper's), `average` of num_pairings random ones,
            `exact` (the expectation over all of them; needs rewards on a grid), or `approximate` (the same for rewards
            off any grid, within approximation_error).
        num_pairings: pairings to average over with pairing `average`, >= 1.
        approximation_error: with pairing `approximate`, the largest error of a signal before the baseline, in units of
            the reward range, > 0.
        baseline: `anchor` (the paper's: zero at the top kink), `batch` (minus the step's mean), `prompt` (minus the
            prompt's mean) or `loo` (minus the mean of the prompt's other responses; unbiased).
        scale: `none`, or `batch` (divided by the step's standard deviation, at least scale_floor).
        scale_floor: in units of the reward range, > 0: keeps a step without signal from being blown up.
        ties: `step` (the paper's update as written) or `continuous` (the scores' atoms spread over the grid's cells;
            a biased objective that still has a slope where most scores tie).
        quantile_lr: step of the tracked quantiles, > 0, in units of bundle_size * reward range.
        reward_range: the smallest and the largest reward; declared, never estimated.
        reward_step: the spacing of the reward grid; None for two-valued rewards (the ends of reward_range).
        difficulty_decay: what a visit's weight in a prompt's running pass rate is multiplied with at the next visit, in
            [0, 1]: 0 remembers the last visit only, 1 all of them alike.
        inner: `mean`, `entropic` (entropic_beta), `pass_at_k` (the best of k responses) or `upper_tail` (the mean of
            the best inner_share of responses); for estimator `two_level`.
        inner_share: in (0, 1].
        entropic_beta: the entropic measure's beta: > 0 seeks risk, < 0 avoids it, 0 is the mean; also of `rs_grpo`.
        k: of pass@k, >= 1; also of peers that have one.
        quantile_baseline: the level K of `qae`'s baseline, in (0, 1).
        std_eps: what `grpo` and its kin add to a standard deviation, > 0 (TRL's 1e-4; verl has 1e-6).
        positive_weight: what `w_reinforce` gives to a right response where a wrong one gets -1, >= 0.
        schedule: options that change over training: {option: {progress: value}}, see `riskpo.risk.schedules`.
        adaptive_slope: the mean slope that the level risk_high is moved to keep, > 0; None leaves it alone.
        adaptive_lr: the step of that level, > 0.

    Raises:
        ConfigError: any value outside these bounds.
    """

    estimator: str = "riskpo"
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
    approximation_error: float = 0.01
    baseline: str = "anchor"
    scale: str = "none"
    scale_floor: float = 0.1
    ties: str = "step"
    quantile_lr: float = 0.02
    reward_range: tuple[float, float] = (0.0, 1.0)
    reward_step: float | None = None
    difficulty_decay: float = 0.5
    inner: str = "mean"
    inner_share: float = 0.25
    entropic_beta: float = 2.0
    k: int = 4
    quantile_baseline: float = 0.4
    std_eps: float = 1e-4
    positive_weight: float = 0.1
    schedule: tuple[tuple[str, Schedule], ...] | None = None
    adaptive_slope: float | None = None
    adaptive_lr: float = 0.05

    def __post_init__(self) -> None:
        for name in ("spectrum_levels", "spectrum_weights", "reward_range"):
            value = getattr(self, name)
            if value is None and name != "reward_range":
                continue
            numbers = isinstance(value, Sequence) and not isinstance(value, str)
            _require(self, name, numbers and all(type(item) in (int, float) for item in value), "a list of numbers")
            object.__setattr__(self, name, tuple(float(item) for item in value))  # lists from YAML, the command line
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(unknown_name(f"`{name}`", getattr(self, name), allowed))
        self._check_numbers()
        self._check_rewards()
        custom = self.measure == "custom"
        if custom != (self.spectrum_levels is not None) or custom != (self.spectrum_weights is not None):
            raise ConfigError(
                "`spectrum_levels` and `spectrum_weights` belong to measure='custom', which needs both; "
                f"got measure={self.measure!r}, levels {self.spectrum_levels}, weights {self.spectrum_weights}."
            )
        self.spectrum  # noqa: B018  (raises for a spectrum that is none)
        if self.pairing == "approximate":
            self.splitting_grid  # noqa: B018  (raises for an error too small for it)
        if self.schedule is not None:
            object.__setattr__(self, "schedule", parse_schedule(self.schedule))
        self._check_changing()

    def _check_numbers(self) -> None:
        for name in ("bundle_size", "num_pairings", "k"):
            _require(self, name, type(getattr(self, name)) is int and getattr(self, name) >= 1, "an integer >= 1")
        for name, (allowed, holds) in _NUMBERS.items():
            value = getattr(self, name)
            if value is not None or name != "adaptive_slope":
                _require(self, name, type(value) in (int, float), "a number")
                _require(self, name, holds(value), allowed)
        if self.risk_low >= self.risk_high:
            raise ConfigError(
                f"`risk_low` ({self.risk_low}) must be below `risk_high` ({self.risk_high}); the paper's are 0.2, 0.8."
            )

    def _check_rewards(self) -> None:
        ends = self.reward_range
        ordered = len(ends) == 2 and all(map(math.isfinite, ends)) and ends[0] < ends[1]
        _require(self, "reward_range", ordered, "two finite numbers, the smaller first")
        if self.reward_step is None:
            return
        cells = (ends[1] - ends[0]) / self.reward_step if self.reward_step > 0.0 else math.nan
        whole = math.isfinite(cells) and cells >= 0.5 and abs(cells - round(cells)) < 1e-6
        _require(self, "reward_step", whole, f"a positive number that divides the reward range {ends}")

    def _check_changing(self) -> None:
        if self.adaptive_slope is not None:
            if self.measure != "mvar":
                raise ConfigError(
                    f"`adaptive_slope` widens the window of measure='mvar', whose slope then grows; that of measure="
                    f"{self.measure!r} does not."
                )
            if any(option in ("risk_low", "risk_high", "measure") for option, _ in self.schedule or ()):
                raise ConfigError(
                    "`adaptive_slope` and a `schedule` of risk_low, risk_high or measure exclude each other."
                )
        for option, _ in self.schedule or ():
            if option not in USES[self.estimator]:
                raise ConfigError(f"`schedule`: estimator {self.estimator!r} does not read {option}.")
        # Every value that a schedule takes must be one that is allowed by itself; what lies between two allowed numbers
        # is allowed too, and so is risk_low < risk_high between two points where it holds.
        for progress in sorted({start for _, schedule in self.schedule or () for start, _ in schedule.points}):
            self.at(progress)

    @classmethod
    def from_preset(cls, name: str, overrides: Mapping[str, Any] | None = None) -> RiskConfig:
        """The named preset (one of `PRESETS`), with single options replaced.

        Raises:
            ConfigError: an unknown preset or option (the message names the nearest right one), a value out of range, or
                an option that the estimator does not read.
        """
        overrides = overrides or {}
        if name not in PRESETS:
            raise ConfigError(unknown_name("preset", name, PRESETS))
        options = {field.name for field in dataclasses.fields(cls)}
        for option in overrides:
            if option not in options:
                raise ConfigError(unknown_name("option", option, options))
        preset, named = PRESETS[name], overrides.get("estimator")
        if named in USES and named != preset.get("estimator", "riskpo"):
            if name != "paper":
                raise ConfigError(
                    f"preset {name!r} is of estimator {preset.get('estimator', 'riskpo')!r}, but estimator={named!r} "
                    "was given: leave out one of the two."
                )
            preset = ESTIMATOR_DEFAULTS.get(str(named), {})
        config = cls(**{**preset, **overrides})
        ignored = sorted(set(overrides) - USES[config.estimator])
        if ignored:
            raise ConfigError(
                f"estimator {config.estimator!r} does not read {', '.join(ignored)}: leave the option(s) out. It "
                f"reads: {', '.join(sorted(USES[config.estimator]))}."
            )
        for option, (condition, holds) in _CONDITIONS.items():
            if option in overrides and not holds(config):
                raise ConfigError(f"`{option}` is read with {condition} only: leave it out, or set that too.")
        return config

    def at(self, progress: float, risk_high: float | None = None) -> RiskConfig:
        """The options when a share `progress` of the training is done, in [0, 1].

        Args:
            progress: steps done / steps planned.
            risk_high: the adaptive level, where there is one.
        """
        values: dict[str, Any] = {option: schedule.at(progress) for option, schedule in self.schedule or ()}
        if risk_high is not None:
            values["risk_high"] = risk_high
        return dataclasses.replace(self, schedule=None, **values) if values else self

    def check_step(self, prompts: int, responses: int) -> None:
        """Raises ConfigError where a step of so many prompts, with so many responses each, is too small."""
        if prompts < self.prompts_needed:
            raise ConfigError(
                f"{prompts} prompts in a step cannot fill a bundle of {self.bundle_size}: lower `bundle_size` or raise "
                "the number of prompts per step."
            )
        needed = self.responses_needed
        if responses < needed:
            why = "to compare any" if needed == 2 else f"by estimator {self.estimator!r} with k={self._largest_k}"
            raise ConfigError(f"at least {needed} responses per prompt are needed {why}, got {responses}.")

    @property
    def prompts_needed(self) -> int:
        """The least number of prompts in a step."""
        return self.bundle_size if "bundle_size" in USES[self.estimator] else 1

    @property
    def responses_needed(self) -> int:
        """The least number of responses per prompt, at any time of the training."""
        if self.estimator in PEERS:
            return PEERS[self.estimator].responses(dataclasses.replace(self, schedule=None, k=self._largest_k))
        if self.estimator != "two_level":
            return 2
        return max(2, self._largest_k) if "pass_at_k" in self._values_of("inner") else 2

    @property
    def _largest_k(self) -> int:
        return int(max(self._values_of("k")))

    def _values_of(self, option: str) -> list[Any]:
        """All values that an option has at the points of its schedule; its own where it has none."""
        schedule = dict(self.schedule or ()).get(option)
        return [getattr(self, option)] if schedule is None else [value for _, value in schedule.points]

    @property
    def needs_difficulty(self) -> bool:
        """Whether the running pass rate of each prompt is kept."""
        return self.composition in ("sorted", "stratified")

    @property
    def tracked(self) -> str:
        """What the tracked quantiles are of: they are of no use for anything else.

        Of the inner objective's parameters k alone: the others may drift on a schedule, and tracking follows them.
        """
        inner = ""
        if self.estimator == "two_level":
            inner = f" of {self.inner}" + (f" {self.k}" if self.inner == "pass_at_k" else "")
        return f"{len(self.spectrum.levels)} quantiles, {self.estimator}, bundles of {self.bundle_size}{inner}"

    @property
    def adaptive_level(self) -> AdaptiveLevel | None:
        """The rule that moves risk_high, where one is asked for."""
        if self.adaptive_slope is None:
            return None
        lowest = self.risk_low + 0.05 * (1.0 - self.risk_low)
        return AdaptiveLevel(self.adaptive_slope, self.adaptive_lr, lowest, max(0.99, self.risk_high))

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

    @cached_property
    def splitting_grid(self) -> Grid:
        """The grid on which pairing `approximate` splits rewards: fine enough for `approximation_error`."""
        return splitting_grid(self.reward_range, self.bundle_size, self.spectrum.weights, self.approximation_error)

    @property
    def tie_width(self) -> float:
        """Width of the box that spreads a score's atom: 0, or the grid's spacing with ties `continuous`."""
        return self.grid.spacing if self.ties == "continuous" else 0.0

    @cached_property
    def tracker(self) -> QuantileTracker:
        """The tracker of the spectrum's quantiles, its step in units of reward."""
        step = self.quantile_lr * self.bundle_size * self.reward_width
        return QuantileTracker(self.spectrum.levels, step, self.tie_width)


def _between(value: float) -> bool:
    return 0.0 < value < 1.0


def _positive(value: float) -> bool:
    return 0.0 < value < math.inf


def _not_negative(value: float) -> bool:
    return 0.0 <= value < math.inf


_NUMBERS: dict[str, tuple[str, Callable[[float], bool]]] = {
    "risk_low": ("strictly between 0 and 1", _between),
    "risk_high": ("strictly between 0 and 1", _between),
    "tail_weight": ("a finite number >= 0", _not_negative),
    "quantile_lr": ("a finite number > 0", _positive),
    "scale_floor": ("a finite number > 0", _positive),
    "approximation_error": ("a finite number > 0", _positive),
    "difficulty_decay": ("in [0, 1]", lambda value: 0.0 <= value <= 1.0),
    "inner_share": ("in (0, 1]", lambda value: 0.0 < value <= 1.0),
    "entropic_beta": ("a finite number", math.isfinite),
    "quantile_baseline": ("strictly between 0 and 1", _between),
    "std_eps": ("a finite number > 0", _positive),
    "positive_weight": ("a finite number >= 0", _not_negative),
    "adaptive_slope": ("a finite number > 0", _positive),
    "adaptive_lr": ("a finite number > 0", _positive),
}


# Options that are read only together with others: what that takes, and whether it holds.
_CONDITIONS: dict[str, tuple[str, Callable[[RiskConfig], bool]]] = {
    "num_pairings": ("pairing='average'", lambda config: config.pairing == "average"),
    "approximation_error": ("pairing='approximate'", lambda config: config.pairing == "approximate"),
    "difficulty_decay": ("composition 'sorted' or 'stratified'", lambda config: config.needs_difficulty),
    "adaptive_lr": ("`adaptive_slope`", lambda config: config.adaptive_slope is not None),
    "scale_floor": ("scale 'batch'", lambda config: config.scale == "batch"),
    "inner_share": ("inner='upper_tail'", lambda config: "upper_tail" in config._values_of("inner")),
    "entropic_beta": (
        "inner='entropic'",
        lambda config: config.estimator != "two_level" or "entropic" in config._values_of("inner"),
    ),
    "k": (
        "inner='pass_at_k'",
        lambda config: config.estimator != "two_level" or "pass_at_k" in config._values_of("inner"),
    ),
}


def _require(config: RiskConfig, name: str, satisfied: bool, allowed: str) -> None:
    if not satisfied:
        raise ConfigError(f"`{name}` must be {allowed}, got {getattr(config, name)!r}.")
