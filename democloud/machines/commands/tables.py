"""Write tables as util-linux does: columns, JSON, pairs, raw, and trees with their branches."""

import json
from collections.abc import Sequence
from typing import Any

from democloud.machines.run import Run

Row = dict[str, Any]
NUMBERS = ("SIZE", "FSSIZE", "FSUSED", "FSAVAIL", "USED", "AVAIL", "PRIO")


def text_of(value: Any) -> str:
    """Write one value into a table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, list):
        return "\n".join(one or "" for one in value)
    return str(value)


def as_json(run: Run, name: str, rows: Sequence[Row]) -> None:
    """Write rows, with those below each, as JSON; util-linux's names are small."""
    run.say(json.dumps({name: [_small(row) for row in rows]}, indent=3, ensure_ascii=False))


def _small(row: Row) -> Row:
    shown = {name.lower(): value for name, value in row.items() if name != "children"}
    if row.get("children"):
        shown["children"] = [_small(one) for one in row["children"]]
    return shown


def as_table(
    run: Run, columns: Sequence[str], rows: Sequence[Row], *, head: bool = True, tree: str = ""
) -> None:
    """Write rows under their columns; `tree` is the column that shows what is below what."""
    lines = [list(columns)] if head else []
    for cells in _flat(columns, rows, tree, ""):
        lines += _several(cells)
    widths = [max((len(line[n]) for line in lines), default=0) for n in range(len(columns))]
    right = [one in NUMBERS or one in ("MAJ:MIN", "RM", "RO") for one in columns]
    for line in lines:
        padded = (
            cell.rjust(width) if on_right else cell.ljust(width)
            for cell, width, on_right in zip(line, widths, right, strict=True)
        )
        run.say(" ".join(padded).rstrip())


def as_pairs(run: Run, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Write rows as NAME="value" pairs."""
    for row in flattened(rows):
        run.say(" ".join(f'{one}="{text_of(row[one])}"' for one in columns))


def as_raw(run: Run, columns: Sequence[str], rows: Sequence[Row], *, head: bool) -> None:
    """Write rows with one blank between cells."""
    if head:
        run.say(" ".join(columns))
    for row in flattened(rows):
        run.say(" ".join(text_of(row[one]).replace(" ", "\\x20") for one in columns))


def flattened(rows: Sequence[Row]) -> list[Row]:
    """Return rows and all below them in one list."""
    return [one for row in rows for one in (row, *flattened(row.get("children", ())))]


def _flat(
    columns: Sequence[str], rows: Sequence[Row], tree: str, above: str, *, top: bool = True
) -> list[list[str]]:
    found = []
    for number, row in enumerate(rows):
        last = number == len(rows) - 1
        branch = "" if top else ("`-" if last else "|-")
        cells = [text_of(row[one]) for one in columns]
        if tree in columns:
            cells[columns.index(tree)] = above + branch + cells[columns.index(tree)]
        found.append(cells)
        below = above + ("" if top else "  " if last else "| ")
        found += _flat(columns, row.get("children", ()), tree, below, top=False)
    return found


def _several(cells: list[str]) -> list[list[str]]:
    """Spread a cell of several lines, as several mount points, over several rows."""
    split = [cell.split("\n") for cell in cells]
    height = max(len(one) for one in split)
    return [[one[n] if n < len(one) else "" for one in split] for n in range(height)]
