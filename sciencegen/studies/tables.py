"""Tables of texts: the same cells in a terminal, on a page and in a record."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import rich.table
from rich.text import Text

__all__ = ["Table"]

NUMBER = re.compile(r"[-+−]?(\d[\d,. ]*)?([eE][-+]?\d+)?\s*(%|×|\([-+.\d]+ ?%\))?")  # or nothing, or a dash


@dataclass(frozen=True)
class Table:
    """A table: a title, columns, rows of texts, and what is said under it.

    It prints itself in a terminal (by :mod:`rich`) and shows itself in a notebook. Columns of numbers are set flush
    right. ``rows`` are mappings from the columns' names; a text may have several lines.
    """

    title: str
    rows: Sequence[Mapping[str, str]]
    caption: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Their names, those of the first row."""
        return tuple(self.rows[0]) if self.rows else ()

    def numeric(self, column: str) -> bool:
        """Whether all cells of a column are numbers."""
        return all(NUMBER.fullmatch(line) for row in self.rows for line in str(row[column]).splitlines())

    def config(self) -> dict[str, Any]:
        """Itself as JSON-ready lists; :meth:`of` is the inverse."""
        cells = [[str(row[name]) for name in self.columns] for row in self.rows]
        return {"title": self.title, "columns": list(self.columns), "rows": cells, "caption": self.caption}

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Table:
        """The table that :meth:`config` describes."""
        rows = tuple(dict(zip(config["columns"], row, strict=True)) for row in config["rows"])
        return cls(str(config["title"]), rows, str(config["caption"]))

    def __rich__(self) -> rich.table.Table:
        shown = rich.table.Table(title=Text(self.title), caption=Text(self.caption) if self.caption else None)
        for name in self.columns:
            shown.add_column(Text(name), justify="right" if self.numeric(name) else "left", no_wrap=name == "#")
        for row in self.rows:
            shown.add_row(*(Text(str(row[name])) for name in self.columns))
        return shown

    def _repr_html_(self) -> str:
        kinds = {name: " class='n'" if self.numeric(name) else "" for name in self.columns}
        head = "".join(f"<th{kind}>{_lines(name)}</th>" for name, kind in kinds.items())
        body = "".join("<tr>" + "".join(f"<td{kind}>{_lines(row[name])}</td>" for name, kind in kinds.items()) + "</tr>"
                       for row in self.rows)
        foot = f"<p class='under'>{_lines(self.caption)}</p>" if self.caption else ""
        return (f"<table><caption>{_lines(self.title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
                f"</table>{foot}")


def _lines(text: object) -> str:
    return html.escape(str(text)).replace("\n", "<br>")
