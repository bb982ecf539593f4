"""verl's trainers with the state of the estimator. The one file that touches verl's own names.

Of verl's trainer five steps are extended: handing prompts out (to remember their order), the advantages (to give the
estimator its state and keep its metrics), the metrics, saving, loading. Everything else stays verl's.
tests/engines_verl/test_verl_names.py fails when a name in `VERL_NAMES` is gone.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transfer_queue as tq
from omegaconf import OmegaConf, open_dict
from verl.trainer.ppo.v1 import (
    PPOTrainer,
    PPOTrainerColocateAsync,
    PPOTrainerSeparateAsync,
    PPOTrainerSync,
    register_trainer,
)

from riskpo.engines.prompt_ids import prompt_id
from riskpo.engines.verl import checkpoint
from riskpo.engines.verl.environment import check_environment
from riskpo.engines.verl.estimator import Scoring, scoring
from riskpo.engines.verl.options import TRAINER_MODES, read_options
from riskpo.engines.verl.rows import PADDING, Layout, uid_of
from riskpo.errors import ConfigError, DataError, EngineError, RewardError
from riskpo.risk.diagnostics import logp_covariances
from riskpo.risk.state import RiskState

VERL_NAMES = {
    "methods": (
        "_compute_advantage",
        "_compute_metrics",
        "_init_dataloader",
        "_load_checkpoint",
        "_save_checkpoint",
        "_submit_batch_to_rollout",
    ),
    "attributes": (
        "config",
        "global_steps",
        "local_trigger_step",
        "parameter_sync_step",
        "total_training_steps",
        "train_dataset",
        "trainer_mode",
    ),
}

logger = logging.getLogger(__name__)


class RiskPOTrainerMixin(PPOTrainer):  # type: ignore[misc]
    """
    Risk-sensitive advantages for a trainer of verl, which stands beside it as the other base class.

    Args:
        config: verl's whole configuration, with `algorithm.adv_estimator`, one of
            `riskpo.engines.verl.options.ESTIMATORS`, and options of the estimator under `algorithm.riskpo`.

    Raises:
        ConfigError: before anything is loaded, options that cannot be run; DataError, too few prompts.
        EngineError: an environment or a version of verl that does not work.
        RewardError: a batch in which not one response could be scored.
    """

    _mode: str  # of verl's trainer

    def __init__(self, config: Any) -> None:
        check_environment()
        _check_config(config, self._mode)
        given = OmegaConf.to_container(config.algorithm.get("riskpo") or OmegaConf.create({}), resolve=True)
        options = read_options(config.algorithm.adv_estimator, given, config.data.get("seed"))  # type: ignore[arg-type]
        share = config.trainer.v1.get(self._mode, {}).get("parameter_sync_step", 1)
        options.risk.check_step(config.data.train_batch_size // share, config.actor_rollout_ref.rollout.n)
        self._options = options
        self._risk_state = RiskState()
        self._risk_generator = torch.Generator().manual_seed(options.seed)
        self._places: dict[str, int] = {}  # of prompts that are handed out and not scored yet, by uid
        self._handed_out = 0
        self._rewards: list[torch.Tensor] = []  # of this step
        with open_dict(config):  # verl looks at the name of its own mode in many places
            config.trainer.v1.trainer_mode = self._mode
        super().__init__(config)

    # ---- data ----

    def _init_dataloader(self) -> None:
        super()._init_dataloader()
        wanted, found = self.config.data.train_batch_size, len(self.train_dataset)
        if found < wanted:  # verl would do no step at all, without a word
            raise DataError(
                f"data.train_files hold {found} prompts (after filtering), and a step takes data.train_batch_size="
                f"{wanted}: use more data or smaller steps."
            )
        if self._options.risk.needs_difficulty:
            _check_prompt_ids(self.train_dataset[0])

    def _submit_batch_to_rollout(self, batch: Any) -> int:
        for uid in batch["uid"]:
            self._places[str(uid)] = self._handed_out
            self._handed_out += 1
        return int(super()._submit_batch_to_rollout(batch))

    # ---- advantages ----

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        uids = {uid_of(key): key for key in batch.keys if not key.startswith(PADDING)}
        unknown = [uid for uid in uids if uid not in self._places]
        places: dict[str, Any] = {uid: (0, place) for uid, place in self._places.items()}
        if unknown:  # handed out by a run that saved no places: by content, so that chance has no part in it
            ids = self._prompt_ids(batch, uids, unknown)
            places |= {uid: (1, name, uid) for uid, name in zip(unknown, ids, strict=True)}
        now = Scoring(
            self._options.risk,
            self._risk_state,
            self._risk_generator,
            progress=self._progress,
            keys=batch.keys,
            places=places,
            prompts=self.config.data.train_batch_size // self.parameter_sync_step,
            prompt_ids=lambda asked: self._prompt_ids(batch, uids, asked),
        )
        with scoring(now):
            batch = super()._compute_advantage(batch, metrics)
        if now.step is None or now.layout is None or now.rewards_PG is None:
            raise EngineError("verl computed advantages without the estimator of riskpo: unsupported version of verl.")
        _check_scorable(now.rewards_PG, self.global_steps)
        self._risk_state = now.step.state
        if self._mode == "sync":  # nothing else is under way: what is left of a step was dropped
            self._places.clear()
        for uid in uids:
            self._places.pop(uid, None)
        metrics.update(now.step.metrics)
        metrics["risk/frac_lost_responses"] = self._lost(now.layout)
        if self._options.log_covariances:
            logps_PG = now.layout.matrix(_sequence_logps(batch))
            metrics.update(logp_covariances(logps_PG, now.step.advantages_PG, now.rewards_PG))
        # Of all parts of a step that is updated in several.
        self._rewards = [*(self._rewards if self.local_trigger_step else []), now.rewards_PG.flatten()]
        return batch

    def _lost(self, layout: Layout) -> float:
        """The share of the responses that never arrived: verl logs what went wrong and trains on the others."""
        expected = (len(layout.uids) + layout.lost) * int(self.config.actor_rollout_ref.rollout.n)
        lost = max(1.0 - int(layout.scored_N.sum()) / expected, 0.0)
        if lost:
            logger.warning(
                "step %d: %.1f %% of the responses were lost (an agent or a reward that raised: see the errors of "
                "_run_prompt above); their prompts are scored without them.",
                self.global_steps,
                100.0 * lost,
            )
        return lost

    @property
    def _progress(self) -> float:
        """The share of the training that is done, in [0, 1]."""
        done = self.global_steps - 1 + self.local_trigger_step / self.parameter_sync_step
        return float(min(max(done / max(self.total_training_steps, 1), 0.0), 1.0))

    @staticmethod
    def _prompt_ids(batch: Any, keys: dict[str, str], uids: Sequence[str]) -> list[str]:
        """Stable names of prompts: `extra_info.prompt_id`, or a hash of the prompt."""
        asked = [keys[uid] for uid in uids]
        data = tq.kv_batch_get(keys=asked, partition_id=batch.partition_id, select_fields=["raw_prompt", "extra_info"])
        rows = zip(list(data["raw_prompt"]), list(data["extra_info"]), strict=True)
        return [prompt_id({"prompt": prompt, "prompt_id": (extra or {}).get("prompt_id")}) for prompt, extra in rows]

    def _compute_metrics(self, batch: Any, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        super()._compute_metrics(batch, metrics, *args, **kwargs)
        # One response that could not be scored would make verl's own numbers NaN: they are of the others.
        for name, value in _of_scorable(torch.cat(self._rewards)).items():
            if name in metrics and math.isnan(metrics[name]):
                metrics[name] = value

    # ---- checkpoints ----

    def _save_checkpoint(self) -> None:
        folder = Path(self.config.trainer.default_local_dir) / f"global_step_{self.global_steps}"
        if self._places:  # asynchronous modes: verl may have dropped prompts on their way
            found = (tq.kv_list("train") or {}).get("train", {})
            under_way = {key for key, tag in found.items() if tag.get("is_prompt")}
            self._places = {uid: place for uid, place in self._places.items() if uid in under_way}
        checkpoint.save(folder, self._risk_state, self._risk_generator, self._places)
        super()._save_checkpoint()  # names the checkpoint the latest at its end

    def _load_checkpoint(self) -> None:
        super()._load_checkpoint()
        if not self.global_steps:
            return
        folder = Path(self.config.trainer.default_local_dir) / f"global_step_{self.global_steps}"
        if self.config.trainer.resume_mode == "resume_path":
            folder = Path(self.config.trainer.resume_from_path)
        risk = self._options.risk
        found = checkpoint.load(folder, None if risk.schedule else risk.tracked, self._risk_generator)
        if found is None:
            logger.warning(
                "%s holds no riskpo.json (was it saved by another trainer?): the tracked quantiles start anew from the "
                "next step's scores.",
                folder,
            )
            return
        self._risk_state, self._places = found
        self._handed_out = max(self._places.values(), default=-1) + 1


@register_trainer("riskpo_sync")
class RiskPOTrainerSync(RiskPOTrainerMixin, PPOTrainerSync):  # type: ignore[misc]
    """verl's mode `sync`: rollouts of each step come from its own policy."""

    _mode = TRAINER_MODES["riskpo_sync"]


@register_trainer("riskpo_colocate_async")
class RiskPOTrainerColocateAsync(RiskPOTrainerMixin, PPOTrainerColocateAsync):  # type: ignore[misc]
    """verl's mode `colocate_async`: rollouts may be some steps old (docs/engines.md says what that does)."""

    _mode = TRAINER_MODES["riskpo_colocate_async"]


@register_trainer("riskpo_separate_async")
class RiskPOTrainerSeparateAsync(RiskPOTrainerMixin, PPOTrainerSeparateAsync):  # type: ignore[misc]
    """verl's mode `separate_async`: rollouts on GPUs of their own, some steps old."""

    _mode = TRAINER_MODES["riskpo_separate_async"]


def _check_config(config: Any, mode: str) -> None:
    if config.algorithm.use_kl_in_reward:
        raise ConfigError(
            "algorithm.use_kl_in_reward=true takes the rewards out of their declared range, in which bundles are "
            "scored: use actor_rollout_ref.actor.use_kl_loss=true for a KL penalty."
        )
    if config.actor_rollout_ref.rollout.n < 2:
        raise ConfigError(
            f"actor_rollout_ref.rollout.n={config.actor_rollout_ref.rollout.n}: each prompt needs at least 2 "
            "responses, which are compared with each other."
        )
    share = config.trainer.v1.get(mode, {}).get("parameter_sync_step", 1)
    if config.data.train_batch_size % share:
        raise ConfigError(
            f"data.train_batch_size={config.data.train_batch_size} is no multiple of trainer.v1.{mode}."
            f"parameter_sync_step={share}: each local update scores one part of the batch."
        )


def _check_prompt_ids(row: Any) -> None:
    """Raises ConfigError where prompts could not be told apart: prompts with images may share their text."""
    named = (row.get("extra_info") or {}).get("prompt_id") is not None
    texts = all(isinstance(message.get("content"), str) for message in row["raw_prompt"])
    if not named and not texts:
        raise ConfigError(
            "composition by difficulty has to tell prompts apart, and prompts with images may share their text: add "
            "`prompt_id`, a name of its own for each row, to `extra_info` (riskpo tasks export does)."
        )


def _check_scorable(rewards_PG: torch.Tensor, step: int) -> None:
    if rewards_PG.isnan().all():
        raise RewardError(
            f"not one response of step {step} could be scored: the reward is NaN for all of them. Training stops here: "
            "nothing before the last checkpoint is lost. `riskpo doctor rewards` tries a verifier by itself."
        )


def _of_scorable(rewards_N: torch.Tensor) -> dict[str, float]:
    """verl's names of the statistics of rewards, over the responses that could be scored; none where all could."""
    if not rewards_N.isnan().any():
        return {}
    known = rewards_N[~rewards_N.isnan()]
    values = {"mean": float(known.mean()), "max": float(known.max()), "min": float(known.min())}
    return {f"critic/{kind}/{name}": value for kind in ("score", "rewards") for name, value in values.items()}


def _sequence_logps(batch: Any) -> torch.Tensor:
    """logps_N: log pi_old(y|x), summed over the tokens that the policy wrote."""
    data = tq.kv_batch_get(
        keys=batch.keys, partition_id=batch.partition_id, select_fields=["old_log_probs", "response_mask"]
    ).to_padded_tensor()
    logps_N: torch.Tensor = (data["old_log_probs"] * data["response_mask"]).sum(-1)
    return logps_N
