"""A rollout backend that samples with transformers, token by token, from the actor's current weights."""

import hashlib
import json
import os
from collections.abc import Generator
from typing import Any

import ray
import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig
from verl.workers.rollout.base import BaseRollout
from verl.workers.rollout.replica import RolloutReplica, TokenOutput


def sample_seed(seed: int, version: int, sample: int, prompt_ids: list[int]) -> int:
    """A seed for one completion: of the run, the weights' version, the place in the group and the prompt's content.

    Never of the order in which requests arrive, so that a run can be repeated.
    """
    text = json.dumps([seed, version, sample, prompt_ids])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


@torch.no_grad()
def sample_tokens(
    model: torch.nn.Module, prompt_ids: list[int], length: int, temperature: float, eos: set[int], seed: int
) -> tuple[list[int], list[float]]:
    """Up to `length` token ids and their log-probabilities at `temperature`; 0 takes the likeliest token."""
    generator = torch.Generator().manual_seed(seed)
    ids, tokens, log_probs = torch.tensor([prompt_ids]), [], []
    while len(tokens) < length:
        logits = model(input_ids=ids, use_cache=False).logits[0, -1].float()
        distribution = torch.log_softmax(logits / temperature if temperature > 0 else logits, dim=-1)
        if temperature > 0:
            token = int(torch.multinomial(distribution.exp(), 1, generator=generator))
        else:
            token = int(distribution.argmax())
        tokens.append(token)
        log_probs.append(float(distribution[token]))
        if token in eos:
            break
        ids = torch.cat([ids, torch.tensor([[token]])], dim=1)
    return tokens, log_probs


class TinyServer:
    """A Ray actor with the methods that verl's trainer and client call on a rollout server."""

    def __init__(self, model_path: str, response_length: int, seed: int) -> None:
        torch.set_num_threads(1)
        config = AutoConfig.from_pretrained(model_path, attn_implementation="eager")
        self.model = AutoModelForCausalLM.from_config(config).eval()
        eos = GenerationConfig.from_pretrained(model_path).eos_token_id
        self.eos = set(eos if isinstance(eos, list) else [eos])
        self.response_length, self.seed = response_length, seed
        self.version: int | None = None
        self.awake = False
        self.paused = False

    async def ready(self) -> str:
        return f"tiny-{os.getpid()}"

    async def set_weights(self, weights: dict[str, torch.Tensor], version: int) -> None:
        self.model.load_state_dict(weights, strict=True)
        self.version = version

    async def generate(
        self, prompt_ids: list[int], sampling_params: dict[str, Any], request_id: str, **_multi_modal: Any
    ) -> TokenOutput:
        if self.paused:  # verl's asynchronous client asks again until generation is resumed
            return TokenOutput(
                token_ids=[], log_probs=[], stop_reason="aborted", extra_fields={"global_steps": self.version}
            )
        if self.version is None or not self.awake:
            raise RuntimeError(f"a request before the weights came: version {self.version}, awake {self.awake}")
        if sampling_params.get("top_p", 1.0) != 1.0 or sampling_params.get("top_k", -1) not in (-1, 0):
            raise ValueError(f"the tiny server samples from the whole distribution; got {sampling_params}")
        seed = sample_seed(self.seed, self.version, sampling_params["sample"], list(prompt_ids))
        temperature = float(sampling_params["temperature"])
        length = min(int(sampling_params.get("max_tokens", self.response_length)), self.response_length)
        tokens, log_probs = sample_tokens(self.model, list(prompt_ids), length, temperature, self.eos, seed)
        return TokenOutput(
            token_ids=tokens,
            log_probs=log_probs if sampling_params.get("logprobs") else None,
            stop_reason="completed",
            extra_fields={"global_steps": self.version},
        )

    async def wake_up(self, tags: list[str] | None = None) -> None:
        self.awake = True

    async def sleep(self) -> None:
        self.awake = False

    async def abort_all_requests(self, reject_request: bool = False) -> None:
        """Requests are sent back until `resume_generation`; one that is running blocks this call till its end."""
        self.paused = True

    async def resume_generation(self) -> None:
        self.paused = False


class TinyReplica(RolloutReplica):
    """One server for all ranks of the replica, on the same node and in a process of its own."""

    async def launch_servers(self) -> None:
        server = ray.remote(TinyServer).options(
            name=f"tiny_server_{self.replica_rank}", max_concurrency=self.max_concurrency, num_cpus=0
        )
        model = self.model_config
        handle = server.remote(model.path, self.config.response_length, self.config.seed)
        self.servers = [handle]
        self._server_handle = handle
        self._server_address = await handle.ready.remote()


class TinyServerAdapter(BaseRollout):
    """The rollout side of a rank: gathers the actor's tensors and sends them to the replica's server."""

    def __init__(self, config: Any, model_config: Any, device_mesh: Any, **kwargs: Any) -> None:
        super().__init__(config, model_config, device_mesh, **kwargs)
        rank, ranks = int(os.environ["RANK"]), self.config.tensor_model_parallel_size
        self.leads, self.replica_rank = rank % ranks == 0, rank // ranks
        self._handle: Any = None

    @property
    def server(self) -> Any:
        if self._handle is None:  # launched after the ranks
            self._handle = ray.get_actor(f"tiny_server_{self.replica_rank}")
        return self._handle

    async def resume(self, tags: list[str]) -> None:
        if self.leads:
            await self.server.wake_up.remote(tags)

    async def release(self) -> None:
        if self.leads:
            await self.server.sleep.remote()

    async def update_weights(
        self,
        weights: Generator[tuple[str, torch.Tensor], None, None],
        wire_format: str = "named_tensors",
        **kwargs: Any,
    ) -> None:
        if wire_format != "named_tensors":
            raise NotImplementedError(f"the tiny rollout takes full tensors, not {wire_format!r}")
        # Every rank reads the whole generator: a full tensor is gathered by all of them.
        state = {name: tensor.detach().clone() for name, tensor in weights}
        if self.leads:
            await self.server.set_weights.remote(state, kwargs["global_steps"])
