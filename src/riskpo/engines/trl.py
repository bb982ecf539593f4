"""`RiskPOTrainer`: TRL's `GRPOTrainer` with risk-sensitive advantages. The one file that touches TRL's private names.

Two of TRL's methods are extended: `_calculate_rewards`, to keep the rewards it has gathered over ranks, and
`_generate_and_score_completions`, to put other advantages into its output. Generation, rewards, loss, logging and
checkpoints stay TRL's. tests/engines/test_trl_names.py fails when a name in `PRIVATE_NAMES` is gone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from torch import Tensor
from torch.utils.data import Sampler
from trl import GRPOTrainer

from riskpo.engines.dynamic_sampling import (
    DrawState,
    Generation,
    Padding,
    Refill,
    check_dynamic_sampling,
    mixed_prompts,
    put,
    take,
)
from riskpo.engines.prompt_ids import prompt_id
from riskpo.engines.row_labels import bundle_labels, gold_answers
from riskpo.engines.train_data import EpochSampler, check_for_training, warn_of_left_out
from riskpo.engines.trl_config import RiskPOConfig
from riskpo.engines.trl_state import RiskStateCallback
from riskpo.engines.trl_tensors import FORWARD_KEYS, PADDINGS
from riskpo.errors import ConfigError, EngineError, RewardError
from riskpo.rewards.trial import CONTRACT, checked_reward, trial_completions, trial_errors
from riskpo.risk.advantages import risk_advantages
from riskpo.risk.diagnostics import logp_covariances
from riskpo.risk.peers import PEERS

PRIVATE_NAMES = {
    "methods": (
        "_calculate_rewards",
        "_generate_and_score_completions",
        "_get_per_token_logps_and_entropies",
        "_get_train_sampler",
    ),
    "attributes": ("_metrics", "_logs", "_pending_extra_logs", "_pending_metrics"),
}

# How many steps may bring nothing but new prompts before composition by difficulty is called idle.
_STEPS_UNSEEN = 50

Generate = Callable[[Any], dict[str, Any]]

logger = logging.getLogger(__name__)
hints = logger.getChild("hints")  # what the command line leaves out unless it is asked to be verbose


class RiskPOTrainer(GRPOTrainer):  # type: ignore[misc]
    """
    Trainer for Risk-based Policy Optimization (RiskPO, arXiv 2510.00911). A drop-in for [`~trl.GRPOTrainer`]: the same
    models, data sets, reward functions, PEFT configurations, processors and tools, with advantages that optimise a risk
    measure of bundle scores instead of the mean reward.

    Args:
        model, reward_funcs, args, train_dataset, eval_dataset, kwargs:
            As in [`~trl.GRPOTrainer`]; `args` is a [`RiskPOConfig`]. Rewards of `None` mean "could not be scored": the
            response gets advantage 0 and is nobody's partner. Evaluation reports TRL's metrics and never moves the
            tracked quantiles.

    Raises:
        ConfigError, DataError: before the model is loaded.
        RewardError: before the first generation, for reward functions that cannot be used (`check_rewards`).
        EngineError: in the first step, when TRL hands over anything but what this class relies on.
    """

    _tag_names = ["trl", "riskpo"]  # noqa: RUF012
    _name = "RiskPO"
    _paper = {  # noqa: RUF012
        "title": "RiskPO: Risk-based Policy Optimization with Verifiable Reward for LLM Post-Training",
        "id": "2510.00911",
    }

    def __init__(
        self,
        model: Any,
        reward_funcs: Any = None,
        args: RiskPOConfig | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        **kwargs: Any,
    ) -> None:
        if args is None:
            name = model if isinstance(model, str) else model.config._name_or_path
            args = RiskPOConfig(f"{name.rstrip('/').split('/')[-1] or 'model'}-RiskPO")
        if not isinstance(args, RiskPOConfig):
            raise ConfigError(f"RiskPOTrainer takes a RiskPOConfig as `args`, got a {type(args).__name__}.")
        if isinstance(train_dataset, Dataset) and kwargs.get("environment_factory") is None:
            check_for_training(train_dataset, args)
            warn_of_left_out(train_dataset, args)
        self._own_rollouts = any(kwargs.get(key) for key in ("tools", "rollout_func", "environment_factory"))
        if args.dynamic_sampling:
            rounds = args.dynamic_sampling_max_rounds
            check_dynamic_sampling(train_dataset, args.prompts_per_generation, rounds, self._own_rollouts)
        self._risk = args.risk_config
        if self._risk.estimator in PEERS:  # on the model's card: the peer's objective is not the paper's
            self._name, self._paper = f"the estimator {self._risk.estimator} of riskpo", {}
        self._warned_unseen = self._warned_uniform = False
        self._rewards_per_func: Tensor | None = None
        self._last_logps: list[float] | None = None
        self._last_labels: dict[str, list[str | None]] = {}
        self._engine_checked = False
        super().__init__(model, reward_funcs, args, train_dataset, eval_dataset, **kwargs)
        self.reward_funcs: list[Any] = [
            function if isinstance(function, torch.nn.Module) else checked_reward(function, name)
            for function, name in zip(self.reward_funcs, self.reward_func_names, strict=True)
        ]
        self.add_callback(RiskStateCallback(args.seed, None if self._risk.schedule else self._risk.tracked))

    @property
    def risk(self) -> RiskStateCallback:
        """The callback that owns tracked quantiles and generator."""
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, RiskStateCallback):
                return callback
        raise EngineError("the RiskStateCallback was removed from the trainer: without it no state can be kept.")

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """As TRL's, after one trial of the reward functions."""
        if self.args.check_rewards and not self._own_rollouts and isinstance(self.train_dataset, Dataset):
            self._try_rewards()
        if not self._has_old_logps and not self.args.log_covariances:
            hints.warning(
                "risk/cov_logp_* are not logged: TRL computes no old log-probabilities in this configuration. Set "
                "log_covariances=True to log them, at the price of one more forward pass per generation."
            )
        return super().train(*args, **kwargs)

    def last_completions(self) -> dict[str, list[Any]]:
        """The last generation of all ranks, in the columns of TRL's completion files.

        Also `logprob`, log pi(y|x) at the sampling temperature summed over tokens, where the trainer knows it (always
        with `log_covariances`); `answer`, the gold answer where the data have one that is a text or a number; and
        `bundle`, the group of prompts it was scored in, with `.` and the bundle in that group where there is just one.
        A column that a reward function has logged under such a name stays as it is.
        """
        logs = self._logs
        table = {
            "step": [self.state.global_step] * len(logs["prompt"]),
            "prompt": list(logs["prompt"]),
            "completion": list(logs["completion"]),
            **{name: list(values) for name, values in logs["rewards"].items()},
            **{name: list(values) for name, values in logs["extra"].items()},
            "advantage": list(logs["advantages"]),
        }
        if self._last_logps is not None:
            table.setdefault("logprob", list(self._last_logps))
        for name, labels in self._last_labels.items():
            table.setdefault(name, list(labels))
        return table

    @property
    def _pad_token(self) -> int:
        tokenizer: Any = getattr(self.processing_class, "tokenizer", self.processing_class)
        return int(tokenizer.pad_token_id)

    # ---- rewards ----

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Tensor:
        try:
            rewards: Tensor = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        except RewardError:
            raise
        except (TypeError, ValueError) as error:
            raise RewardError(
                f"the reward functions {self.reward_func_names} failed: {str(error).rstrip('.')}. {CONTRACT}"
            ) from error
        self._rewards_per_func = rewards
        return rewards

    def _try_rewards(self) -> None:
        rows = [dict(self.train_dataset[index]) for index in range(min(2, len(self.train_dataset)))]
        completions = trial_completions(rows)
        # The ids are one padding token, which TRL makes sure of: an answer column need not be text one can encode.
        ids = [[self._pad_token] for _ in rows]
        # TRL times reward functions and logs that at once, to trackers that no training has set up yet.
        trackers, self.args.report_to = self.args.report_to, []
        try:
            with trial_errors(self.reward_func_names, completions):
                self._calculate_rewards(rows, [row["prompt"] for row in rows], completions, ids)
        finally:
            self.args.report_to = trackers
        self._pending_extra_logs.clear()
        self._pending_metrics.clear()

    def _total_rewards(self, rewards_per_func: Tensor) -> Tensor:
        """The weighted sum over reward functions, NaN where none could score; as TRL adds them up."""
        weights = self.reward_weights.to(rewards_per_func.device)
        total_N: Tensor = (rewards_per_func * weights).nansum(1)
        return total_N.masked_fill(rewards_per_func.isnan().all(1), torch.nan)

    # ---- advantages ----

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        generate: Generate = super()._generate_and_score_completions
        self._last_logps, self._last_labels = None, {}  # evaluation logs its completions too
        if not self.model.training:
            return generate(inputs)
        sampling: dict[str, float] = {}
        if self.args.dynamic_sampling:
            inputs, output, rewards_N, sampling = self._mixed_batch(generate, inputs)
        else:
            output, rewards_N = self._generated(generate, inputs)
        rows = len(inputs)
        local = slice(self.accelerator.process_index * rows, (self.accelerator.process_index + 1) * rows)
        rewards_PG = rewards_N.view(-1, self.num_generations)

        # Every rank computes the whole step with the same generator, and keeps its own rows.
        risk = self.risk
        step = risk_advantages(
            rewards_PG,
            self._risk,
            risk.risk_state,
            risk.generator,
            prompt_ids=self._prompt_ids(inputs) if self._risk.needs_difficulty else None,
            progress=self.state.global_step / max(self.state.max_steps, 1),
        )
        risk.risk_state = step.state
        self._watch_unseen(step.metrics)
        advantages_N = step.advantages_PG.flatten().to(output["advantages"])
        output["advantages"] = advantages_N[local]

        metrics = step.metrics | sampling
        logps_N = self._sequence_logps(output)
        if logps_N is not None:
            self._last_logps = logps_N.tolist()
            logps_PG = logps_N.view(-1, self.num_generations)
            metrics = metrics | logp_covariances(logps_PG, step.advantages_PG, rewards_PG)
        for name, value in metrics.items():
            self._metrics["train"][name].append(value)
        logged = self._logs["advantages"]
        for _ in range(len(advantages_N)):
            logged.pop()
        logged.extend(advantages_N.tolist())
        answers = gold_answers(inputs)
        self._last_labels = bundle_labels(step) | ({} if answers is None else {"answer": gather_object(answers)})
        return output

    def _generated(self, generate: Generate, inputs: Any) -> tuple[dict[str, Any], Tensor]:
        """TRL's scored batch of this rank, and the total rewards of all ranks."""
        self._rewards_per_func = None
        output = generate(inputs)
        return output, self._checked_rewards(output, inputs)

    def _checked_rewards(self, output: dict[str, Any], inputs: Any) -> Tensor:
        """All ranks' rewards, after checking in the first step that TRL orders and uses them as we believe."""
        rank = self.accelerator.process_index
        local = slice(rank * len(inputs), (rank + 1) * len(inputs))
        per_func = self._rewards_per_func
        total = len(inputs) * self.accelerator.num_processes
        if per_func is None or per_func.ndim != 2 or len(per_func) != total or "advantages" not in output:
            found = None if per_func is None else tuple(per_func.shape)
            raise EngineError(
                f"TRL handed over rewards of shape {found} for {total} responses: this version of TRL is not "
                "supported. Training with the wrong advantages would look like success; it stops here instead."
            )
        rewards_N = self._total_rewards(per_func)
        if not self._engine_checked:
            groups = [inputs[row]["prompt"] for row in range(len(inputs)) if "prompt" in inputs[row]]
            size = self.num_generations
            aligned = local.start % size == 0
            if aligned and any(groups[row] != groups[row - row % size] for row in range(len(groups))):
                raise EngineError("TRL no longer keeps the responses of a prompt next to each other.")
            theirs = output["advantages"].double()
            rewards_PG = rewards_N.double().view(-1, size)
            ours = (rewards_PG - rewards_PG.nanmean(1, keepdim=True)).flatten()[local].nan_to_num(0.0)
            if self.scale_rewards == "batch":
                ours = ours / (rewards_N[~rewards_N.isnan()].double().std() + 1e-4)
            if theirs.shape != ours.shape or (theirs - ours).abs().max() > 1e-3 * (1.0 + ours.abs().max()):
                raise EngineError("TRL's own advantages do not follow from the rewards it gathered: unsupported TRL.")
            if len(self._logs["advantages"]) < min(total, self.args.generation_batch_size):
                raise EngineError("TRL no longer logs one advantage per response.")
            if rewards_N.isnan().all():
                raise RewardError(
                    f"not one of the {total} responses of the first step could be scored: the reward functions "
                    f"{self.reward_func_names} returned None for all of them. Usually the gold answers are not in the "
                    "form that the reward expects."
                )
            self._engine_checked = True
        return rewards_N

    def _prompt_ids(self, inputs: Any) -> list[str]:
        """The names of all ranks' prompts, one for each group of responses."""
        local = [prompt_id(row) for row in inputs]
        return gather_object(local)[:: self.num_generations]  # type: ignore[no-any-return]

    def _watch_unseen(self, metrics: dict[str, float]) -> None:
        """Says once when composition by difficulty has nothing to go by."""
        if self._warned_unseen or metrics.get("risk/frac_unseen_prompts") != 1.0:
            return
        if self.risk.risk_state.steps > _STEPS_UNSEEN:
            self._warned_unseen = True
            logger.warning(
                f"after {self.risk.risk_state.steps} steps no prompt has come back, so composition="
                f"{self._risk.composition!r} composes at random: it needs a training set that is gone through more "
                "than once, and prompts that are the same each time (or a column `prompt_id`)."
            )

    # ---- dynamic sampling ----

    def _mixed_batch(
        self, generate: Generate, inputs: Any
    ) -> tuple[list[dict[str, Any]], dict[str, Any], Tensor, dict[str, float]]:
        """Data rows, scored batch, all ranks' total rewards and metrics, with mixed prompts for uniform ones.

        Leaves the kept rows of all ranks, in order, in TRL's log columns and in `self._rewards_per_func`.
        """
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        take(self._logs)  # of an earlier step: TRL would push them out

        def generation(inputs: list[dict[str, Any]]) -> Generation:
            output, rewards_N = self._generated(generate, inputs)
            assert self._rewards_per_func is not None
            mixed_P = mixed_prompts(rewards_N, self.num_generations)
            return Generation(inputs, output, self._rewards_per_func, take(self._logs), mixed_P)

        refill = Refill(generation(inputs), self.num_generations, rank, world)
        logged = {name: len(values) for name, values in self._metrics["train"].items()}
        if refill.wanted:
            taken = set(gather_object([prompt_id(row) for row in inputs]))
            state = self.risk.draws or DrawState(len(self.train_dataset))
            rounds = self.args.dynamic_sampling_max_rounds
            self.risk.draws = refill.fill(generation, self.train_dataset, state, self.args.seed, taken, rounds)
        # TRL's own metrics go on describing the first generation: a plain sample of the training set.
        for name, values in list(self._metrics["train"].items()):
            del values[logged.get(name, 0) :]
            if not values:
                del self._metrics["train"][name]
        put(self._logs, refill.table())
        self._rewards_per_func = refill.rewards_NF()
        if refill.wanted and not self._warned_uniform:
            self._warned_uniform = True
            logger.warning(refill.shortfall())
        rewards_N = self._total_rewards(self._rewards_per_func)
        return refill.inputs(), self._merged(refill), rewards_N, refill.metrics()

    def _merged(self, refill: Refill) -> dict[str, Any]:
        """One scored batch, with what depends on the whole of it computed anew."""
        if not refill.replaced:
            return refill.generations[0].output
        token_ids: dict[str, Padding] = {
            "prompt_ids": ("left", self._pad_token),
            "completion_ids": ("right", self._pad_token),
        }
        output = refill.output(token_ids | PADDINGS)
        output["num_items_in_batch"] = self.accelerator.gather(output["completion_mask"].sum()).sum()
        if "old_per_token_logps" in output:
            # The loss will see these rows behind other padding than they were scored with; in low precision, or with
            # learned positions, log-probabilities depend on it, and a ratio that should be 1 would be clipped.
            output["old_per_token_logps"] = self._token_logps(output)
        return output

    # ---- log-probabilities ----

    @property
    def _has_old_logps(self) -> bool:
        """TRL's own rule for when the policy that sampled is not the one that is updated first."""
        every = self.args.steps_per_generation * self.num_iterations
        corrected = self.use_vllm and self.args.vllm_importance_sampling_correction
        return bool(self.args.gradient_accumulation_steps % every != 0 or corrected)

    def _sequence_logps(self, output: dict[str, Any]) -> Tensor | None:
        """log pi(y|x) of all ranks' responses, summed over tokens; None where it is not to be had for free."""
        logps = output.get("old_per_token_logps")
        if logps is None:
            if not self.args.log_covariances:
                return None
            logps = self._token_logps(output)
        mask = output["completion_mask"] * output.get("tool_mask", 1)
        gathered: Tensor = self.accelerator.gather((logps * mask).sum(1))
        return gathered

    def _token_logps(self, output: dict[str, Any]) -> Tensor:
        """log-probabilities of the completion tokens of this rank's rows, by one forward pass without gradients."""
        prompt_ids, completion_ids = output["prompt_ids"], output["completion_ids"]
        with torch.no_grad():
            logps: Tensor = self._get_per_token_logps_and_entropies(
                self.model,
                torch.cat([prompt_ids, completion_ids], dim=1),
                torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1),
                completion_ids.size(1),
                batch_size=self.args.per_device_train_batch_size,
                **{key: output[key] for key in FORWARD_KEYS if key in output},
            )[0]
        return logps

    # ---- data order ----

    def _get_train_sampler(self, dataset: Any = None) -> Sampler[int]:
        sampler: Sampler[int] = super()._get_train_sampler(dataset)
        if not self.shuffle_dataset:
            return sampler
        return EpochSampler(sampler, self.args.seed, lambda: int((self.state.epoch or 0.0) + 1e-6))
