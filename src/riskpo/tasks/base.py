"""What a task is: what it says of itself, where its rows lie, and how a row of each known shape is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from riskpo.errors import DataError, unknown_name
from riskpo.tasks.templates import TEMPLATES, Template

Row = Mapping[str, Any]
Rows = list[dict[str, Any]]


class RowError(ValueError):
    """A row that cannot be used. Whoever reads the file adds where it stands and makes a DataError of it."""


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a task, whatever file or hub it came from.

    Args:
        question: the text without any frame of a prompt.
        answer: the gold answer; None where tests in `fields` are the gold.
        source_id: what the source calls the row; None where it names none.
        fields: further columns, which the scorer uses: tests, options, tolerance.
        image: a path, a `PIL.Image`, or a mapping with `bytes` or `path`; None for a text task.
    """

    question: str
    answer: str | None
    source_id: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    image: Any = None


@dataclass(frozen=True)
class Shape:
    """A shape that rows of a task come in.

    Args:
        name: where it is used, in words.
        columns: what a row must have; the first shape of a task whose columns are all there is taken.
        read: a row to an item. Raises RowError.
    """

    name: str
    columns: tuple[str, ...]
    read: Callable[[Row], Item]


@dataclass(frozen=True)
class Part:
    """A part of a split on the hub: `datasets.load_dataset(repo, config, split=split)`.

    Args:
        files: the files' names, where the repository has no configuration that the library can load.
    """

    config: str | None = None
    split: str = "train"
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Split:
    """A split of a task.

    Args:
        rows: how many rows the source says it has; None: it depends.
        files: names of the local file, without ending; the first one found in the data folder is taken.
        hub: its parts on the hub; empty: it is not there.
        wanted: whether a row belongs to the split, where a file may hold more than that.
    """

    rows: int | None
    files: tuple[str, ...] = ()
    hub: tuple[Part, ...] = ()
    wanted: Callable[[Row], bool] | None = None


@dataclass(frozen=True)
class Task:
    """What every task says of itself.

    Args:
        name: by which it is asked for.
        about: a line for the table.
        splits: what may be asked for by `split`.
        licence: as its source states it.
        scorer: a name of `riskpo.rewards.registry`, or in words where the task brings its own.
        role: `train`, `benchmark`, or both.
        modality: `text` or `image + text`.
    """

    name: str
    about: str
    splits: Mapping[str, Split]
    licence: str
    scorer: str
    role: str
    modality: str = "text"

    @property
    def source(self) -> str:
        """The hub id, or `builtin`."""
        return "builtin"

    def find_split(self, name: str | None) -> str:
        """The split of a name; the first one where none is given.

        Raises:
            DataError: an unknown split.
        """
        if name is None:
            return next(iter(self.splits))
        if name not in self.splits:
            raise DataError(f"task {self.name}: {unknown_name('split', name, self.splits)}")
        return name


@dataclass(frozen=True)
class BuiltInTask(Task):
    """A task whose rows are made, not loaded.

    Args:
        rows: (split, count, seed) to rows with `prompt`, `answer`; splits share no prompt.
        reward: in TRL's signature.
    """

    rows: Callable[[str, int, int], Rows] = field(kw_only=True)
    reward: Callable[..., Any] = field(kw_only=True)


@dataclass(frozen=True)
class DataTask(Task):
    """A data set or benchmark: rows from the hub, or from a local file of a known shape.

    Args:
        hub: the repository's id; None: there is none.
        shapes: the shapes its rows come in, the most special one first.
        template: the prompt template that is taken where none is asked for.
        once: a flattened column by which repeats of a row are known, where the source repeats its rows.
        ability: verl's word for the field.
        also: hub ids whose rows have one of the shapes too.
    """

    hub: str | None = field(kw_only=True)
    shapes: tuple[Shape, ...] = field(kw_only=True)
    template: str = field(kw_only=True)
    once: str | None = field(default=None, kw_only=True)
    ability: str = field(default="math", kw_only=True)
    also: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def source(self) -> str:
        """The hub id, or `local file`."""
        return self.hub or "local file"

    def find_template(self, name: str | None) -> Template:
        """The template of a name; the task's own where none is given.

        Raises:
            ConfigError: an unknown name, or one that this task cannot use.
        """
        from riskpo.errors import ConfigError

        if name is not None and name not in TEMPLATES:
            raise ConfigError(unknown_name("template", name, TEMPLATES))
        template, own = TEMPLATES[name or self.template], TEMPLATES[self.template]
        if template.kind != own.kind:
            fitting = [one for one in TEMPLATES if TEMPLATES[one].kind == own.kind]
            raise ConfigError(
                f"template {name} is for {template.kind} questions, task {self.name} has {own.kind} ones. "
                f"Allowed: {', '.join(fitting)}."
            )
        return template

    def scorer_for(self, template: Template) -> str:
        """The scorer that reads answers in the form that the template asks for."""
        return template.scorer or self.scorer
