"""`RiskPOConfig`: TRL's `GRPOConfig` plus the options of the estimator, validated before anything is loaded."""

from dataclasses import dataclass, field
from typing import Any

from trl import GRPOConfig

from riskpo.engines.options import RISK_OPTIONS, risk_config_of, schedule_of
from riskpo.errors import ConfigError, unknown_name
from riskpo.risk.config import RiskConfig
from riskpo.risk.schedules import plain_schedule

# TRL's; tests/engines/test_trl_names.py compares them with TRL's source.
LOSS_TYPES = ("grpo", "dapo", "dr_grpo", "bnpo", "cispo", "sapo", "luspo", "vespo")


@dataclass
class RiskPOConfig(GRPOConfig):  # type: ignore[misc]
    r"""
    Configuration of [`RiskPOTrainer`]: every argument of [`~trl.GRPOConfig`], with the defaults of RiskPO
    (arXiv 2510.00911), and the options of the risk-sensitive estimator.

    An option that is left at `None` takes the value of the preset. TRL's `beta` stays TRL's KL coefficient: the paper's
    levels alpha and beta are `risk_low` and `risk_high` here, its omega is `tail_weight`.

    Parameters:
        preset (`str`, *optional*, defaults to `"paper"`):
            Named set of options: `paper` (the method as published), `exact` (its objective without the sampling noise),
            `sorted` (bundles of one difficulty), `prompt-mvar` (risk over prompts), `two-level` (pass@4 of each prompt
            first, then risk over prompts), `released-hard`, `released-easy`, `released-risk-seeking` (the authors' code
            as it runs).
        estimator (`str`, *optional*):
            `riskpo`, `two_level`, or a peer in the same shape: `grpo`, `dr_grpo`, `rloo`, `rs_grpo`, ... (see
            docs/method.md). The preset's if unset.
        measure (`str`, *optional*):
            Risk measure: `mean`, `cvar`, `rvar`, `mvar`, `upper_tail` or `custom`. `mvar` in the presets.
        risk_low (`float`, *optional*):
            Lower quantile level, in (0, 1). 0.2 in the presets.
        risk_high (`float`, *optional*):
            Upper quantile level, in (`risk_low`, 1). 0.8 in the presets.
        tail_weight (`float`, *optional*):
            Extra weight of the tail, >= 0. 0.5 in the presets.
        spectrum_levels (`list[float]`, *optional*):
            Quantile levels at which the weight of a `custom` measure changes.
        spectrum_weights (`list[float]`, *optional*):
            Weights of a `custom` measure, one more than levels.
        bundle_size (`int`, *optional*):
            Prompts per bundle. 5 in the presets.
        composition (`str`, *optional*):
            Which prompts share a bundle: `random`, `consecutive`, `sorted` or `stratified` by the running pass rate of
            each prompt. Rows are told apart by the column `prompt_id`, or by the prompt's content.
        pairing (`str`, *optional*):
            Which responses share a bundle: `random`, `average` (of `num_pairings`), `exact`, or `approximate` (exact
            within `approximation_error`, for rewards off any grid).
        num_pairings (`int`, *optional*):
            Random pairings to average over with `pairing="average"`. 8 in the presets.
        approximation_error (`float`, *optional*):
            Largest error of a signal with `pairing="approximate"`, in units of the reward range. 0.01 in the presets.
        baseline (`str`, *optional*):
            `anchor` (the paper's), `batch`, `prompt` or `loo`.
        scale_floor (`float`, *optional*):
            With `scale_rewards="batch"`, the least standard deviation to divide by, in units of the reward range.
        ties (`str`, *optional*):
            How tied scores enter quantiles and signal: `step` (the paper's) or `continuous`.
        quantile_lr (`float`, *optional*):
            Step of the tracked quantiles, in units of `bundle_size` times the reward range. 0.02 in the presets.
        reward_range (`list[float]`, *optional*):
            Smallest and largest total reward of a response. 0 1 in the presets.
        reward_step (`float`, *optional*):
            Spacing of the total rewards, where they lie on a grid; unset for two-valued rewards.
        difficulty_decay (`float`, *optional*):
            What a visit counts in a prompt's running pass rate at the next visit, in [0, 1]. 0.5 in the presets.
        inner (`str`, *optional*):
            Inner objective of estimator `two_level`: `mean`, `entropic`, `pass_at_k` or `upper_tail`.
        inner_share (`float`, *optional*):
            Share of best responses that `inner="upper_tail"` averages, in (0, 1].
        entropic_beta (`float`, *optional*):
            Beta of the entropic measure (`inner="entropic"`, `estimator="rs_grpo"`): > 0 seeks risk. 2 in the presets.
        k (`int`, *optional*):
            The k of pass@k (`inner="pass_at_k"` and the peers that have one). 4 in the presets.
        quantile_baseline (`float`, *optional*):
            Level of the quantile baseline of estimator `qae`, in (0, 1).
        std_eps (`float`, *optional*):
            What `grpo` and its kin add to a standard deviation.
        positive_weight (`float`, *optional*):
            Weight of right responses with estimator `w_reinforce`.
        schedule (`dict` or `str`, *optional*):
            Options that change over training, `{option: {progress: value}}` with progress in [0, 1]; JSON on the
            command line. Numbers are interpolated linearly, names and counts keep the value of the last point.
        adaptive_slope (`float`, *optional*):
            Mean slope of the signal that `risk_high` is moved to keep, so that the window never degenerates.
        adaptive_lr (`float`, *optional*):
            Step of that level.
        log_covariances (`bool`, *optional*, defaults to `False`):
            Log the covariances of log-probability and advantage in every step. They come for free where TRL computes
            old log-probabilities; elsewhere this costs one more forward pass over each generation batch.
        check_rewards (`bool`, *optional*, defaults to `True`):
            Call the reward functions once on two rows before training, so that one that raises, or returns the wrong
            type or length, is found before the first generation.
        allow_duplicate_prompts (`bool`, *optional*, defaults to `False`):
            Accept a training set in which text prompts repeat.
        dynamic_sampling (`bool`, *optional*, defaults to `False`):
            DAPO's dynamic sampling (arXiv 2503.14476), with every estimator: prompts whose responses all have one
            reward are replaced by fresh ones from the training set, which are generated for in turn, until all differ
            or `dynamic_sampling_max_rounds` is reached; prompts that are uniform even then stay. Fresh prompts come
            from a permutation of their own: epochs go on as without. Needs a map-style training set of text prompts
            and whole prompts on every rank.
        dynamic_sampling_max_rounds (`int`, *optional*, defaults to `10`):
            The most generations a step may take beyond its first, >= 1.
    """

    loss_type: str = field(
        default="grpo",
        metadata={"help": "TRL's loss; `grpo` is the paper's mean over sequences. See GRPOConfig for the others."},
    )
    importance_sampling_level: str = field(
        default="sequence",
        metadata={"help": "`sequence`: the paper's length-normalised sequence ratio; `token`: PPO's per-token ratio."},
    )
    scale_rewards: str = field(
        default="none",
        metadata={"help": "`none` (the paper's) or `batch`: divide by the step's standard deviation of advantages."},
    )
    preset: str = field(
        default="paper",
        metadata={"help": "Named set of options: paper, exact, sorted, prompt-mvar, two-level, recommended, ..."},
    )
    estimator: str | None = field(
        default=None, metadata={"help": "riskpo, two_level, or a peer: grpo, dr_grpo, rloo, rs_grpo, maxrl, ..."}
    )
    measure: str | None = field(
        default=None, metadata={"help": "Risk measure: mean, cvar, rvar, mvar, upper_tail, custom."}
    )
    risk_low: float | None = field(default=None, metadata={"help": "Lower quantile level (the paper's alpha)."})
    risk_high: float | None = field(default=None, metadata={"help": "Upper quantile level (the paper's beta)."})
    tail_weight: float | None = field(default=None, metadata={"help": "Extra weight of the tail (the paper's omega)."})
    spectrum_levels: list[float] | None = field(default=None, metadata={"help": "Levels of a custom measure."})
    spectrum_weights: list[float] | None = field(default=None, metadata={"help": "Weights of a custom measure."})
    bundle_size: int | None = field(default=None, metadata={"help": "Prompts per bundle (the paper's B)."})
    composition: str | None = field(
        default=None, metadata={"help": "Which prompts share a bundle: random, consecutive, sorted, stratified."}
    )
    pairing: str | None = field(
        default=None, metadata={"help": "Which responses share a bundle: random, average, exact, approximate."}
    )
    approximation_error: float | None = field(
        default=None, metadata={"help": "Largest error of a signal with pairing=approximate, in reward ranges."}
    )
    num_pairings: int | None = field(default=None, metadata={"help": "Pairings to average over with pairing=average."})
    baseline: str | None = field(default=None, metadata={"help": "Baseline of the signal: anchor, batch, prompt, loo."})
    scale_floor: float | None = field(
        default=None, metadata={"help": "Least standard deviation with scale_rewards=batch, in reward ranges."}
    )
    ties: str | None = field(default=None, metadata={"help": "How tied scores count: step, continuous."})
    quantile_lr: float | None = field(
        default=None, metadata={"help": "Step of the tracked quantiles, in units of bundle_size times reward range."}
    )
    reward_range: list[float] | None = field(
        default=None, metadata={"help": "Smallest and largest total reward of a response."}
    )
    reward_step: float | None = field(
        default=None, metadata={"help": "Spacing of the reward grid; unset for two-valued rewards."}
    )
    difficulty_decay: float | None = field(
        default=None, metadata={"help": "What a visit counts in a prompt's running pass rate at the next one."}
    )
    inner: str | None = field(
        default=None, metadata={"help": "Inner objective of two_level: mean, entropic, pass_at_k, upper_tail."}
    )
    inner_share: float | None = field(default=None, metadata={"help": "Share of best responses of inner=upper_tail."})
    entropic_beta: float | None = field(default=None, metadata={"help": "Beta of the entropic measure; > 0: seeking."})
    k: int | None = field(default=None, metadata={"help": "The k of pass@k."})
    quantile_baseline: float | None = field(default=None, metadata={"help": "Level of qae's quantile baseline."})
    std_eps: float | None = field(default=None, metadata={"help": "Added to a standard deviation by grpo and its kin."})
    positive_weight: float | None = field(
        default=None, metadata={"help": "Weight of right responses with estimator w_reinforce."}
    )
    schedule: dict[str, Any] | str | None = field(
        default=None, metadata={"help": "Options that change over training: {option: {progress: value}}, as JSON."}
    )
    adaptive_slope: float | None = field(
        default=None, metadata={"help": "Mean slope of the signal that risk_high is moved to keep."}
    )
    adaptive_lr: float | None = field(default=None, metadata={"help": "Step of the adaptive level."})
    log_covariances: bool = field(
        default=False, metadata={"help": "Log covariances with log-probability even where that costs a forward pass."}
    )
    check_rewards: bool = field(
        default=True, metadata={"help": "Try the reward functions on two rows before the first generation."}
    )
    allow_duplicate_prompts: bool = field(
        default=False, metadata={"help": "Accept a training set in which text prompts repeat."}
    )
    dynamic_sampling: bool = field(
        default=False, metadata={"help": "Replace prompts whose responses all have one reward by fresh ones (DAPO)."}
    )
    dynamic_sampling_max_rounds: int = field(
        default=10, metadata={"help": "Most generations of a step beyond its first, with dynamic_sampling."}
    )

    def __post_init__(self) -> None:
        if self.num_generations < 2:
            raise ConfigError(
                f"num_generations={self.num_generations}: each prompt needs at least 2 responses, which are compared "
                "with each other."
            )
        super().__post_init__()
        if self.scale_rewards == "group":
            raise ConfigError(
                "scale_rewards='group' divides by each prompt's own standard deviation, which undoes the risk measure: "
                "use 'none' (the paper's) or 'batch'."
            )
        if self.multi_objective_aggregation != "sum_then_normalize":
            raise ConfigError(
                f"multi_objective_aggregation={self.multi_objective_aggregation!r} is not supported: bundle scores "
                "are sums of rewards on their declared scale, so use 'sum_then_normalize' with `reward_weights`."
            )
        for name, allowed in (("loss_type", LOSS_TYPES), ("importance_sampling_level", ("token", "sequence"))):
            if getattr(self, name) not in allowed:  # TRL would notice after the first generation
                raise ConfigError(unknown_name(f"`{name}`", getattr(self, name), allowed))
        self.schedule = schedule_of(self.schedule)
        self.check_generation()
        if self.dynamic_sampling:
            self._check_dynamic_sampling()

    def check_generation(self) -> None:
        """Raises ConfigError where the prompts of a generation cannot be scored together."""
        risk = self.risk_config
        if self.prompts_per_generation < risk.prompts_needed:
            raise ConfigError(
                f"one generation holds {self.prompts_per_generation} prompts ({self.step_in_words}), which cannot fill "
                f"a bundle of {risk.bundle_size}: raise `per_device_train_batch_size`, `steps_per_generation` or "
                "`generation_batch_size`, or lower `bundle_size`."
            )
        risk.check_step(self.prompts_per_generation, self.num_generations)

    def _check_dynamic_sampling(self) -> None:
        if self.dynamic_sampling_max_rounds < 1:
            raise ConfigError(
                f"dynamic_sampling_max_rounds={self.dynamic_sampling_max_rounds} must be >= 1; set "
                "dynamic_sampling=False for no refill at all."
            )
        rows = self.per_device_train_batch_size * self.steps_per_generation
        if rows % self.num_generations:
            raise ConfigError(
                f"dynamic_sampling=True needs whole prompts on every rank, but {rows} responses per rank "
                f"(per_device_train_batch_size={self.per_device_train_batch_size} * steps_per_generation="
                f"{self.steps_per_generation}) are no multiple of num_generations={self.num_generations}: change one "
                "of the three, or set dynamic_sampling=False."
            )

    @property
    def risk_config(self) -> RiskConfig:
        """The preset with the options that were given, validated."""
        return risk_config_of(self.preset, {name: getattr(self, name) for name in RISK_OPTIONS}, self.scale_rewards)

    @property
    def prompts_per_generation(self) -> int:
        """P: how many prompts, over all ranks, are sampled together and so can share bundles."""
        return int(self.generation_batch_size // self.num_generations)

    @property
    def step_in_words(self) -> str:
        """Where the number of prompts per generation comes from, for messages."""
        return f"{self.generation_batch_size} responses / {self.num_generations} per prompt"

    def to_dict(self) -> dict[str, Any]:
        """The arguments as logged: options left to the preset appear with the preset's value."""
        values: dict[str, Any] = super().to_dict()
        risk = self.risk_config
        for name in RISK_OPTIONS:
            value = getattr(risk, name)
            values[name] = list(value) if isinstance(value, tuple) else value
        values["schedule"] = plain_schedule(risk.schedule)
        return values
