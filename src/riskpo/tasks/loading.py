"""The items of a split: read, of one shape, checked row by row. What is wrong is said with file and line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from riskpo.errors import DataError
from riskpo.tasks.base import DataTask, Item, Row, RowError, Shape
from riskpo.tasks.defects import Defect, defects_of
from riskpo.tasks.overlap import fingerprint
from riskpo.tasks.source import Placed, Source, locate, read


@dataclass(frozen=True)
class Loaded:
    """A split of a task.

    Args:
        task: which one.
        split: which split.
        items: its rows; each has a `source_id`.
        shape: the shape they came in, in words.
        record: what to write down of where they came from: file and sha256, or hub id and commit.
        notes: what a reader should know: rows left out, an unexpected number of rows.
    """

    task: DataTask
    split: str
    items: tuple[Item, ...]
    shape: str
    record: dict[str, Any]
    notes: tuple[str, ...] = ()

    def prompt_id(self, item: Item) -> str:
        """The name of a row's prompt: the same in every run, and in no other task."""
        return f"{self.task.name}/{item.source_id}"


def load(
    task: DataTask,
    split: str | None = None,
    *,
    data_file: str | Path | None = None,
    data_dir: str | Path | None = None,
    revision: str | None = None,
) -> Loaded:
    """A split of a task, from a file or from the hub (`riskpo.tasks.source.locate` says which).

    Args:
        task: which one.
        split: which split; None: its first one.
        data_file: the file to read.
        data_dir: the folder that holds the file under its usual name.
        revision: of the hub's data set.

    Raises:
        DataError: a row that cannot be used, with its place; no rows; nothing there.
    """
    name = task.find_split(split)
    source = locate(task, name, data_file=data_file, data_dir=data_dir, revision=revision)
    rows, record = read(source, task.once)
    reader = _Reader(task, source)
    wanted = task.splits[name].wanted
    items = tuple(reader.items(rows if wanted is None else (placed for placed in rows if wanted(placed[1]))))
    if not items:
        raise DataError(f"{_where(source)} holds no rows of split {name} of task {task.name}.")
    expected = task.splits[name].rows
    notes = [*reader.notes()]
    if expected is not None and expected != len(items):
        notes.append(f"{len(items)} rows; its source states {expected}")
    assert reader.shape is not None
    record = {"task": task.name, "split": name, **record, "shape": reader.shape.name, "rows": len(items)}
    return Loaded(task, name, items, reader.shape.name, record, tuple(notes))


class _Reader:
    """Turns placed rows into items."""

    def __init__(self, task: DataTask, source: Source) -> None:
        self.task = task
        self.folder = source.path.parent if source.path is not None else None
        self.shape: Shape | None = None
        self.known = defects_of(task.name)
        self.left_out: list[Defect] = []
        self.mended: list[Defect] = []
        self._names: set[str] = set()

    def items(self, rows: Iterator[Placed]) -> Iterator[Item]:
        for place, row in rows:
            try:
                item = self._read(row)
            except RowError as error:
                raise DataError(f"{place}: {str(error).rstrip('.')}.") from error
            if item is not None:
                yield item

    def notes(self) -> Iterator[str]:
        for defect in self.left_out:
            yield f"{defect.row} left out: {defect.reason}"
        for defect in self.mended:
            yield f"{defect.row} has the gold {defect.right}: {defect.reason}"

    def _read(self, row: Row) -> Item | None:
        if self.shape is None:
            self.shape = self._detect(row)
        missing = [column for column in self.shape.columns if column not in row]
        if missing:
            raise RowError(f"lacks the column(s) {missing} of the shape of the rows before it ({self.shape.name})")
        item = self.shape.read(row)
        if not item.question.strip():
            raise RowError("the question is empty")
        found = self._repaired(item)
        return None if found is None else self._named(self._with_image(found))

    def _repaired(self, item: Item) -> Item | None:
        """The item; with its right gold where the reader cannot find it; None where it is known to have none."""
        if item.answer is None:
            return item
        defect = self.known.get((fingerprint(item.question), item.answer.strip())) if self.known else None
        if defect is not None and defect.right is not None:
            self.mended.append(defect)
            return replace(item, answer=defect.right)
        if item.answer.strip():
            return item
        if defect is None:
            raise RowError("the gold answer is empty")
        self.left_out.append(defect)
        return None

    def _detect(self, row: Row) -> Shape:
        for shape in self.task.shapes:
            if all(column in row for column in shape.columns):
                return shape
        known = "; ".join(shape.name for shape in self.task.shapes)
        raise RowError(f"has the columns {sorted(row)}, which is no shape of task {self.task.name}. Known: {known}")

    def _with_image(self, item: Item) -> Item:
        if "image" not in self.task.modality:
            return item
        image = item.image
        if isinstance(image, str):
            if self.folder is None:
                raise RowError(f"the image {image} is a path, but the rows come from the hub")
            image = str(self.folder / image)
        _check_image(image)
        return replace(item, image=image)

    def _named(self, item: Item) -> Item:
        """With a name: the source's, or a hash of question and gold, numbered where even that repeats."""
        if item.source_id is not None:
            if item.source_id in self._names:
                raise RowError(f"the id {item.source_id} repeats that of an earlier row")
            self._names.add(item.source_id)
            return item
        text = f"{item.question}\0{item.answer}".encode("utf-8", "surrogatepass")
        base = name = hashlib.blake2b(text, digest_size=8).hexdigest()
        number = 1
        while name in self._names:
            number += 1
            name = f"{base}-{number}"
        self._names.add(name)
        return replace(item, source_id=name)


def _check_image(image: Any) -> None:
    """Raises RowError unless it is an image: a file, bytes, or a picture in memory."""
    from PIL import Image, UnidentifiedImageError

    try:
        if isinstance(image, str):
            if not Path(image).is_file():
                raise RowError(f"the image {image} is missing")
            Image.open(image).close()
        elif isinstance(image, dict) and image.get("bytes"):
            import io

            Image.open(io.BytesIO(image["bytes"])).close()
        elif not isinstance(image, Image.Image):
            raise RowError(f"the image is a {type(image).__name__}")
    except (UnidentifiedImageError, OSError) as error:
        raise RowError(f"the image cannot be opened ({error})") from None


def _where(source: Source) -> str:
    return str(source.path or source.repo)
