"""Blocks of the docs that a script writes: what stands between two markers comes out of its JSON; a test checks it."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- begin {re.escape(name)} -->\n).*?(<!-- end {re.escape(name)} -->)", re.DOTALL)


def block_of(page: str, name: str) -> str:
    """What a page holds between the markers of `name`."""
    match = _pattern(name).search((DOCS / page).read_text(encoding="utf-8"))
    if match is None:
        raise ValueError(f"docs/{page} has no markers <!-- begin {name} --> and <!-- end {name} -->.")
    return match.group(0)[len(match.group(1)) : -len(match.group(2))]


def write_block(page: str, name: str, block: str) -> None:
    """Replaces it."""
    block_of(page, name)
    path = DOCS / page
    text = _pattern(name).sub(lambda m: f"{m.group(1)}{block.rstrip()}\n{m.group(2)}", path.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")
