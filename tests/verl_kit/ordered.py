"""verl's replay buffer with its rows in an order that does not depend on which completion came first."""

from typing import Any

import transfer_queue as tq
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer


class OrderedReplayBuffer(ReplayBuffer):
    """Rows by the prompt's index in the data set, then by the sample's place.

    verl gives the rows as they arrived. Their order decides the micro-batches and so the order of floating-point sums.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"poll_interval": 0.1, **kwargs})  # verl looks every two seconds

    def _materialize_batch(self, partition_id: str, *rest: Any) -> KVBatchMeta:
        batch = super()._materialize_batch(partition_id, *rest)
        data = tq.kv_batch_get(keys=batch.keys, partition_id=partition_id, select_fields=["index"])
        index = [int(value) for value in data["index"]]

        def place(row: int) -> tuple[int, int, int]:
            _uid, session, part = batch.keys[row].rsplit("_", 2)
            return index[row], int(session), int(part)

        batch.reorder(sorted(range(len(batch)), key=place))
        return batch
