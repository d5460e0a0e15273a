"""Runs as they are written: the same for every command that leaves a directory.

A command says what came of it in one :class:`Report`. From it come the tables in the terminal, config.json, which holds
what is needed to run the command again, and ``report.html`` (:mod:`.page`), which can be sent to a colleague.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from ..files import replacing
from .directory import RECORD, read_record, written_whole
from .page import page
from .tables import Table

__all__ = ["PAGE", "Report", "added", "plain", "read_report", "write_run"]

PAGE = "report.html"


@dataclass(frozen=True)
class Report:
    """What is said of a run.

    Arguments:
        title: one line, as "Design of 64 airfoils: 50 are feasible".
        tables: what to read first.
        summary: sentences on what came of it, and what it cost.
        verified: sentences on who judged and who confirmed what is printed.
        warnings: sentences that a reader has to know before a number is used.
        captions: of pictures, by file name, in their order on the page.
    """

    title: str
    tables: Sequence[Table] = ()
    summary: Sequence[str] = ()
    verified: Sequence[str] = ()
    warnings: Sequence[str] = ()
    captions: Mapping[str, str] = field(default_factory=dict)

    def config(self) -> dict[str, Any]:
        """Itself as JSON-ready texts and lists; :meth:`of` is the inverse."""
        return {"title": self.title, "tables": [table.config() for table in self.tables],
                "summary": list(self.summary), "verified": list(self.verified), "warnings": list(self.warnings),
                "captions": dict(self.captions)}

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Report:
        """The report that :meth:`config` describes."""
        tables = tuple(Table.of(table) for table in config["tables"])
        return cls(**{**config, "tables": tables})


def write_run(directory: Path, report: Report, asked: Mapping[str, Any], files: Callable[[Path], object],
              made: Mapping[str, Any] | None = None, message: str = "finished", partial: bool = False,
              overwrite: bool = False) -> list[str]:
    """Write a run directory as a whole: config.json, report.html and what else there is; the names of its files.

    Arguments:
        asked: what the command was asked (``cli.run.Asked.record()``).
        files: writes result, data and pictures into the folder that it is given; PNG and GIF come on the page.
        made: how the samples were made, for the record: settings, prices.
        message: how the run ended, in words; ``partial`` where it was interrupted.
        overwrite: replace a finished run.

    Raises:
        ValueError: where the directory holds another run that is not to be replaced, or files that are no run's.
    """
    with written_whole(directory, overwrite) as new:
        files(new)
        names = sorted([RECORD, PAGE, *(p.name for p in new.iterdir())])
        record = {**asked, "status": "partial" if partial else "finished", "message": message, "files": names,
                  "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), "name": Path(directory).absolute().name,
                  "report": report.config(), "made": plain(made or {})}
        _put(new, record)
    return names


def read_report(run: Path) -> Report:
    """What is said of the run in a directory; ValueError where config.json says nothing, as of older versions."""
    record = read_record(run)
    try:
        return Report.of(record["report"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"got {run}, whose {RECORD} has no tables; expected a run of this version: make it again by "
                         f"`sciencegen rerun {run}`") from error


def added(run: Path, title: str, table: Table, verified: str) -> None:
    """Add to a run what another program said of it later; what was said under the same ``title`` is replaced.

    A run without a page, of an older version or written by hand, is left as it is.
    """
    record = read_record(run) if (run / RECORD).is_file() else {}
    if "report" not in record:
        return
    told = read_report(run)
    tables = [*(t for t in told.tables if t.title != table.title), table]
    words = [*(w for w in told.verified if not w.startswith(f"{title}: ")), f"{title}: {verified}"]
    record["report"] = {**told.config(), "tables": [t.config() for t in tables], "verified": words}
    _put(run, record)


def plain(value: object) -> Any:
    """What JSON holds of a setting: numbers, texts, lists and mappings of them; a function's name; else how it prints.

    Addresses in memory, which say nothing to a reader, are left out.
    """
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, str):
        return re.sub(r" at 0x[0-9a-f]+", "", value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    if is_dataclass(value) and all(f.init for f in fields(value)):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, torch.Tensor):
        return value.tolist()
    return getattr(value, "__name__", None) or plain(repr(value))


def _put(folder: Path, record: Mapping[str, Any]) -> None:
    with replacing(folder / RECORD) as new:
        new.write_text(json.dumps(record, indent=2))
    with replacing(folder / PAGE) as new:
        new.write_text(page(record, folder), encoding="utf-8")
