"""What is kept of a benchmark: its tables as they were printed, and the lines that the summary shows of them.

The record is small JSON, `NAME.tables.json` beside all other numbers; one that is worth keeping is committed as
`benchmarks/results/NAME.json` (`python -m benchmarks summary --keep DIR`), and the pages of docs/ are made from those.
The rows of one table have one number of cases: a table with a column "n" or "seeds" of several values is kept as
several tables, and a line of the summary compares rows of one of them.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from . import emit, write_json

__all__ = ["KINDS", "Line", "publish", "record"]

KINDS = ("ours", "classical", "learned", "exact")
FREE = ("", "-")  # of no number of cases
COUNTS = ("n", "seeds", "designs", "starts")
Content = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """A line of the summary: the column of a table that answers a task, and the rows that stand for each kind.

    Arguments:
        task: what is asked, in the user's words; ``measure`` with its unit.
        table: a piece of the table's title.
        column: the head of the column; ``high`` says that a high number is good.
        ours, classical, learned, exact: names of rows, first column; the best one of a kind is shown.
        n, seeds: how many cases and seeds a number is of, where the table has no such column.
    """

    task: str
    measure: str
    table: str
    column: str
    ours: tuple[str, ...]
    classical: tuple[str, ...] = ()
    learned: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()
    high: bool = False
    n: str = ""
    seeds: str = ""

    def resolved(self, tables: Iterable[Content]) -> dict[str, Any] | None:
        """The line's numbers, of the table with the largest n that has a row of ours; None where there is none."""
        fit = [t for t in tables if self.table in t["title"] and self.column in t["columns"]
               and any(_named(row[0], self.ours) for row in t["rows"])]
        if not fit:
            return None
        table = max(fit, key=lambda t: leading(_count(t, COUNTS) or "0"))
        best = {kind: self._best(table, getattr(self, kind)) for kind in KINDS}
        cases = tuple(name for name in COUNTS if name != "seeds")
        counts = {"n": self.n or _count(table, cases), "seeds": self.seeds or _count(table, ("seeds",))}
        return {"task": self.task, "measure": self.measure, **best, **counts}

    def _best(self, table: Content, names: tuple[str, ...]) -> dict[str, str] | None:
        at = table["columns"].index(self.column)
        rows = [row for row in table["rows"] if _named(row[0], names)]
        found = [(number, row) for row in rows if (number := leading(row[at])) is not None]
        if not found:
            return None
        _, row = (max if self.high else min)(found, key=lambda pair: pair[0])
        return {"value": row[at].replace("*", ""), "row": row[0].replace("*", "")}


def leading(cell: str) -> float | None:
    """The number that a cell begins with, or None."""
    found = re.match(r"[*\s]*([+-]?\d*\.?\d+(?:e[+-]?\d+)?)", cell.replace(",", ""))
    return float(found[1]) if found else None


def record(name: str, doc: str, parts: Iterable[Any], lines: Sequence[Line]) -> dict[str, Any]:
    """The record of a run: where it comes from, its tables and texts in order, and the summary's lines."""
    kept = list(_kept(parts))
    tables = [part["table"] for part in kept if "table" in part]
    title, _, about = doc.strip().partition("\n\n")
    return {"benchmark": name, "title": title.replace("\n", " "), "about": about, **origin(), "parts": kept,
            "summary": [found for line in lines if (found := line.resolved(tables))]}


def origin() -> dict[str, Any]:
    """Date, commit and command of this run; of a path from the root of this machine only the last name."""
    program, *words = sys.argv
    try:
        commit = subprocess.run(["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"],
                                capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown"
    named = [re.sub(r"^(--[\w-]+=)?/(?:.*/)?", r"\1", word) for word in words]
    return {"date": datetime.now(UTC).date().isoformat(), "commit": commit, "quick": "--quick" in words,
            "command": f"{program} {shlex.join(named)}"}


def publish(out: Path, name: str, doc: str, parts: Iterable[Any], lines: Sequence[Line] = ()) -> None:
    """Print the tables and texts ``parts``, and write them as NAME.txt and NAME.tables.json in ``out``."""
    parts = list(parts)
    emit(out / f"{name}.txt", parts)
    write_json(out / f"{name}.tables.json", record(name, doc, parts, lines))


def _kept(parts: Iterable[Any]) -> Iterator[dict[str, Any]]:
    for part in parts:
        if isinstance(part, Table):
            yield from ({"table": table} for table in alike(plain(part)))
        elif str(part).strip():
            yield {"text": Text.from_markup(str(part)).plain.strip()}


def plain(table: Table) -> dict[str, Any]:
    """A table of rich as title, heads and cells without its marks."""
    shown = lambda cell: " ".join(Text.from_markup(str(cell)).plain.split())
    columns = [[shown(cell) for cell in column.cells] for column in table.columns]
    return {"title": shown(table.title or ""), "columns": [shown(column.header) for column in table.columns],
            "rows": [list(row) for row in zip(*columns)]}


def alike(table: Content) -> list[dict[str, Any]]:
    """The table as tables whose rows have one number of cases each; a row without one (a floor, a bar) is in all."""
    at = [table["columns"].index(name) for name in COUNTS if name in table["columns"]][:1]
    counts = dict.fromkeys(row[at[0]] for row in table["rows"] if row[at[0]] not in FREE) if at else {}
    if len(counts) < 2:
        return [dict(table)]
    head, title = table["columns"][at[0]], f"{table['title']}; " if table["title"] else ""
    return [{**table, "title": f"{title}{head} = {count}",
             "rows": [row for row in table["rows"] if row[at[0]] in (count, *FREE)]} for count in counts]


def _count(table: Content, names: tuple[str, ...]) -> str:
    at = [table["columns"].index(name) for name in names if name in table["columns"]][:1]
    return next((row[at[0]] for row in table["rows"] if row[at[0]] not in FREE), "") if at else ""


def _named(cell: str, names: tuple[str, ...]) -> bool:
    return cell.replace("*", "").strip() in names
