"""verl's single-turn agent loop, which also tells the server which of a prompt's samples is asked for."""

from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, register
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

AGENT = "tiny_single_turn"


@register(AGENT)
class TinySingleTurnAgentLoop(SingleTurnAgentLoop):
    """The place of a sample in its group is known here and nowhere later; the server seeds its generator with it."""

    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> AgentLoopOutput:
        return await super().run({**sampling_params, "sample": int(kwargs["session_id"])}, priority=priority, **kwargs)
