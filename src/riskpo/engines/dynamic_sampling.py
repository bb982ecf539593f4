"""Dynamic sampling (DAPO, arXiv 2503.14476, sec. 3.2): prompts whose responses agree are replaced by fresh ones.

The part of it that knows no engine: which prompts are kept, where fresh ones come from, and how several generations
become one batch. Suffixes: P prompts and N = P * G responses of all ranks, F reward functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor

from riskpo.engines.prompt_ids import COLUMN, prompt_id
from riskpo.errors import ConfigError, EngineError, ResumeError
from riskpo.risk.per_prompt import uniform

Row = dict[str, Any]
Table = dict[tuple[str, ...], list[Any]]
# How a tensor of a batch is made wider: on which side, with what. None: one number a row.
Padding = tuple[Literal["left", "right"], float] | None


def mixed_prompts(rewards_N: Tensor, responses: int) -> Tensor:
    """Which prompts have responses of different rewards, bool [P]. NaN (unscorable) is no reward: it never differs."""
    rewards_PG = rewards_N.detach().cpu().view(-1, responses)
    return ~(uniform(rewards_PG) | rewards_PG.isnan().all(1))


# ---- fresh prompts ----


@dataclass(frozen=True)
class DrawState:
    """How far fresh prompts have been drawn; part of every checkpoint.

    Args:
        rows: of the training set.
        turn: how many permutations of it are used up.
        position: how many rows of the present one are.
    """

    rows: int
    turn: int = 0
    position: int = 0


def draw(dataset: Dataset, count: int, state: DrawState, seed: int, taken: set[str]) -> tuple[list[Row], DrawState]:
    """The next `count` rows of a seeded permutation; when that is used up, of the next one.

    Args:
        dataset: the training set.
        count: rows wanted.
        state: from the previous draw; `DrawState(len(dataset))` at first.
        seed: the same on every rank, so that all draw the same.
        taken: ids of prompts that this step has already: passed over. The ids of the drawn rows are added.

    Raises:
        ConfigError: a training set that is used up by this step.
        ResumeError: a state of another training set.
    """
    if state.rows != len(dataset):
        raise ResumeError(
            f"fresh prompts were drawn from a training set of {state.rows} rows, this one has {len(dataset)}: resume "
            "with the data the run was started with, or start a new run from the saved model."
        )
    rows: list[Row] = []
    turn, position, last = state.turn, state.position, state.turn + 1
    while len(rows) < count:
        if position == state.rows:
            turn, position = turn + 1, 0
        if turn > last:  # a whole permutation was looked through
            raise ConfigError(
                f"the training set of {state.rows} rows has no {count} prompts left that this step has not seen: "
                "lower `dynamic_sampling_max_rounds`, or add prompts."
            )
        row = dataset[int(_permutation(seed, turn, state.rows)[position])]
        position += 1
        name = prompt_id(row)
        if name not in taken:
            taken.add(name)
            rows.append(row)
    return rows, DrawState(state.rows, turn, position)


@lru_cache(maxsize=2)
def _permutation(seed: int, turn: int, rows: int) -> np.ndarray[Any, Any]:
    # Not torch's generator at seed + turn: that is the order of the epochs, and the next step's prompts would be drawn.
    return np.random.default_rng((seed, turn)).permutation(rows)


def check_dynamic_sampling(dataset: Any, needed: int, rounds: int, own_rollouts: bool) -> None:
    """What dynamic sampling asks of the data, before anything expensive starts.

    Args:
        dataset: the training set.
        needed: prompts per step, P.
        rounds: `dynamic_sampling_max_rounds`.
        own_rollouts: whether tools, environments or a rollout function make the responses.

    Raises:
        ConfigError: streamed data, images, own rollouts, or fewer different prompts than one step could use up.
    """
    if own_rollouts:
        raise ConfigError(
            "dynamic_sampling=True merges plain generations and cannot merge those of `tools`, `environment_factory` "
            "or `rollout_func`: set dynamic_sampling=False."
        )
    if not isinstance(dataset, Dataset):
        raise ConfigError(
            f"dynamic_sampling=True draws fresh prompts by their place, and a {type(dataset).__name__} cannot be "
            "asked for a row: load the training set as a `datasets.Dataset` (streaming=False), or set "
            "dynamic_sampling=False."
        )
    images = {"image", "images"} & set(dataset.column_names)
    if images:
        raise ConfigError(
            f"dynamic_sampling=True does not merge rows with images (column {sorted(images)}): set "
            "dynamic_sampling=False, or remove the column."
        )
    columns = [name for name in ("prompt", COLUMN) if name in dataset.column_names]
    different = len({prompt_id(row) for row in dataset.select_columns(columns)})
    if different < needed * (1 + rounds):
        fits = different // needed - 1
        raise ConfigError(
            f"the training set has {different} different prompts, but a step of {needed} with up to {rounds} refills "
            f"(dynamic_sampling_max_rounds) could use up {needed * (1 + rounds)}: "
            + (f"set dynamic_sampling_max_rounds={fits} or less, " if fits >= 1 else "")
            + "add prompts or make the step smaller."
        )


# ---- several generations into one ----


@dataclass(frozen=True)
class Generation:
    """What one call of the engine gave.

    Args:
        inputs: this rank's data rows, one a response; every prompt's G responses stand together, whole on one rank.
        output: this rank's scored batch, tensors with a row for each response, besides numbers of the whole batch.
        rewards_NF: of all ranks, rank by rank.
        table: columns for logging, of all ranks, rank by rank.
        mixed_P: of all ranks: `mixed_prompts` of the total rewards.
    """

    inputs: list[Row]
    output: dict[str, Any]
    rewards_NF: Tensor
    table: Table
    mixed_P: Tensor


class Refill:
    """A batch whose uniform prompts are replaced by mixed ones of later generations, each in its place and rank.

    Every rank follows the places of all ranks from the same gathered rewards; rows never move between ranks. A uniform
    prompt for which no mixed one was found stays, so that the batch keeps its size.

    Args:
        first: the generation of the batch itself.
        responses: G, per prompt.
        rank: this process.
        world: the number of processes.
    """

    def __init__(self, first: Generation, responses: int, rank: int, world: int) -> None:
        self.generations = [first]
        self.mixed_P = first.mixed_P.clone()
        self._responses, self._rank, self._world = responses, rank, world
        self._from_P = torch.zeros(len(self.mixed_P), dtype=torch.long)
        self._prompt_P = torch.arange(len(self.mixed_P))  # within its generation, counted over all ranks

    @property
    def wanted(self) -> int:
        """Prompts that every rank should generate for next: the most that any of them lacks."""
        return int((~self.mixed_P).view(self._world, -1).sum(1).max())

    @property
    def replaced(self) -> int:
        """Prompts of the batch that gave their place away."""
        return int((self._from_P > 0).sum())

    def metrics(self) -> dict[str, float]:
        """Generations of the step; shares of its prompts that were replaced, and that are uniform all the same."""
        prompts = len(self.mixed_P)
        return {
            "risk/sampling_rounds": float(len(self.generations)),
            "risk/frac_prompts_replaced": self.replaced / prompts,
            "risk/frac_uniform_after_sampling": int((~self.mixed_P).sum()) / prompts,
        }

    def shortfall(self) -> str:
        """What to say where uniform prompts are left."""
        return (
            f"dynamic sampling stopped after {len(self.generations) - 1} refills (dynamic_sampling_max_rounds) with "
            f"{int((~self.mixed_P).sum())} of {len(self.mixed_P)} prompts still uniform; they are trained on as they "
            "are. risk/frac_uniform_after_sampling logs their share in every step, this is said once. Raise "
            "`dynamic_sampling_max_rounds` or `num_generations`, or use prompts nearer to what the model can do."
        )

    def fill(
        self,
        generate: Callable[[list[Row]], Generation],
        dataset: Dataset,
        state: DrawState,
        seed: int,
        taken: set[str],
        rounds: int,
    ) -> DrawState:
        """Generates for fresh prompts until none is uniform, `rounds` times at most.

        Args:
            generate: from this rank's data rows, one a response. It is called on all ranks alike.
            dataset, state, seed, taken: as in `draw`.
            rounds: the most calls of `generate`.

        Returns:
            The state for the next draw.
        """
        for _ in range(rounds):
            wanted = self.wanted
            if not wanted:
                break
            rows, state = draw(dataset, self._world * wanted, state, seed, taken)
            mine = rows[self._rank * wanted : (self._rank + 1) * wanted]
            # As many columns as the engine's loader leaves in its rows.
            columns = self.generations[0].inputs[0].keys()
            self.add(generate([{name: row[name] for name in columns} for row in mine for _ in range(self._responses)]))
        return state

    def add(self, generation: Generation) -> None:
        """Puts the generation's mixed prompts into the places of uniform ones of the same rank; the rest is dropped."""
        number = len(self.generations)
        self.generations.append(generation)
        places_R = self.mixed_P.view(self._world, -1)
        found_R = generation.mixed_P.view(self._world, -1)
        for rank in range(self._world):
            places = (~places_R[rank]).nonzero().flatten() + rank * places_R.shape[1]
            found = found_R[rank].nonzero().flatten() + rank * found_R.shape[1]
            count = min(len(places), len(found))
            self._from_P[places[:count]] = number
            self._prompt_P[places[:count]] = found[:count]
            self.mixed_P[places[:count]] = True

    def inputs(self) -> list[Row]:
        """This rank's data rows."""
        return [self.generations[number].inputs[row] for number, row in zip(*self._local(), strict=True)]

    def rewards_NF(self) -> Tensor:
        """All ranks' rewards."""
        first = self.generations[0].rewards_NF
        numbers_N, rows_N = self._rows(self._from_P, self._prompt_P)
        return _rows_of([g.rewards_NF for g in self.generations], numbers_N, rows_N, None).to(first.device)

    def table(self) -> Table:
        """All ranks' log columns. A column that a generation lacks is None in its rows."""
        numbers_N, rows_N = self._rows(self._from_P, self._prompt_P)
        places = list(zip(numbers_N.tolist(), rows_N.tolist(), strict=True))
        tables = [generation.table for generation in self.generations]
        names = {name: None for table in tables for name, values in table.items() if values}  # in order of appearance
        return {
            name: [tables[number][name][row] if tables[number].get(name) else None for number, row in places]
            for name in names
        }

    def output(self, paddings: Mapping[str, Padding]) -> dict[str, Any]:
        """This rank's scored batch.

        Args:
            paddings: for every tensor with rows. Others are numbers of the whole batch: the first generation's stay.

        Raises:
            EngineError: a tensor with rows that is not in `paddings`, or that not all generations have.
        """
        numbers_N, rows_N = (torch.tensor(values) for values in self._local())
        merged: dict[str, Any] = {}
        for name in dict.fromkeys(name for generation in self.generations for name in generation.output):
            values = [generation.output.get(name) for generation in self.generations]
            if name not in paddings and isinstance(values[0], Tensor) and values[0].ndim == 0:
                merged[name] = values[0]
            elif name in paddings and all(isinstance(value, Tensor) for value in values):
                merged[name] = _rows_of(values, numbers_N, rows_N, paddings[name])  # type: ignore[arg-type]
            else:
                raise EngineError(
                    f"the engine's batch holds {name!r}, which dynamic sampling cannot merge: set "
                    "dynamic_sampling=False."
                )
        return merged

    def _rows(self, from_P: Tensor, prompt_P: Tensor) -> tuple[Tensor, Tensor]:
        """Generation and row of each response, from those of each prompt."""
        rows_PG = prompt_P[:, None] * self._responses + torch.arange(self._responses)
        return from_P.repeat_interleave(self._responses), rows_PG.flatten()

    def _local(self) -> tuple[list[int], list[int]]:
        """Generation and row among this rank's rows, for each of this rank's responses."""
        mine_P = slice(*(place * len(self.mixed_P) // self._world for place in (self._rank, self._rank + 1)))
        per_rank = torch.tensor([len(generation.mixed_P) // self._world for generation in self.generations])
        from_P = self._from_P[mine_P]
        numbers_N, rows_N = self._rows(from_P, self._prompt_P[mine_P] - self._rank * per_rank[from_P])
        return numbers_N.tolist(), rows_N.tolist()


def _rows_of(tensors: Sequence[Tensor], numbers_N: Tensor, rows_N: Tensor, padding: Padding) -> Tensor:
    """Row `rows_N[i]` of tensor `numbers_N[i]` for each i, as wide as the widest tensor that is used."""
    used = sorted(set(numbers_N.tolist()))
    shape = tensors[0].shape[1:] if padding is None else (max(tensors[number].shape[1] for number in used),)
    side, fill = padding or ("right", 0)
    merged = tensors[0].new_full((len(rows_N), *shape), fill)
    for number in used:
        places = (numbers_N == number).nonzero().flatten().to(merged.device)
        values = tensors[number][rows_N[numbers_N == number].to(merged.device)]
        if padding is not None:
            missing = shape[0] - values.shape[1]
            widths = (missing, 0) if side == "left" else (0, missing)
            values = torch.nn.functional.pad(values, widths, value=fill)
        merged[places] = values
    return merged


# ---- log columns: a mapping of lists or of such mappings ----


def take(columns: Mapping[str, Any], path: tuple[str, ...] = ()) -> Table:
    """Empties the columns; what they held, by their path."""
    table: Table = {}
    for name, values in columns.items():
        if isinstance(values, Mapping):
            table |= take(values, (*path, name))
        else:
            table[(*path, name)] = list(values)
            values.clear()
    return table


def put(columns: MutableMapping[str, Any], table: Table) -> None:
    """The inverse of `take`."""
    for path, values in table.items():
        place: Any = columns
        for name in path:
            place = place[name]
        place.extend(values)
