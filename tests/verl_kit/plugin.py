"""What a run registers with verl: `actor_rollout_ref.model.external_lib`, imported where a model config is read.

That is the trainer, the agent loop and every rank, each before it looks anything up.
"""

import os

from verl.workers.rollout import base
from verl.workers.rollout.replica import RolloutReplica, RolloutReplicaRegistry

ROLLOUT = "tiny"


def _load_replica() -> type[RolloutReplica]:
    from tests.verl_kit.rollout import TinyReplica

    return TinyReplica


RolloutReplicaRegistry.register(ROLLOUT, _load_replica)
# A table of class names without a function that adds to it.
base._ROLLOUT_REGISTRY[(ROLLOUT, "async")] = "tests.verl_kit.rollout.TinyServerAdapter"

if "RANK" in os.environ:  # a rank of the actor: the only processes that train
    from tests.verl_kit import engine  # noqa: F401
else:
    from tests.verl_kit import agent  # noqa: F401
