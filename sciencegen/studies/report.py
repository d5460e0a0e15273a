"""A run of a study as a table for a terminal, and as a directory: result, picture, record and files of its own."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from ..result import Result
from .directory import RECORD, written_whole
from .study import Study, plain

__all__ = ["table", "write"]


def table(study: Study, result: Result, best: int = 10) -> Table:
    """The best designs, a row each; under it why the others are rejected."""
    best = min(best, len(result))
    rows = [study.row(result.samples.isel(sample=i).assign(fun=result.fun[i])) for i in range(best)]
    reasons = [str(r) for r in result.samples["reason"].values]
    shown = Table(title=f"{int(result.success.sum())} of {len(result)} designs feasible; the best {best}",
                  caption=_rejected(reasons) or None)
    for name in ("#", *rows[0], "feasible"):
        shown.add_column(name, justify="right", no_wrap=name == "#")
    for i, row in enumerate(rows):
        shown.add_row(str(i + 1), *row.values(), "yes" if result.success[i] else f"no: {reasons[i]}")
    return shown


def write(directory: Path, study: Study, result: Result, asked: Mapping[str, Any], overwrite: bool = False
          ) -> list[str]:
    """Write a run directory as a whole; the names of its files.

    ``asked`` is what the command was asked; config.json has it beside how the designs were made.
    """
    with written_whole(directory, overwrite) as new:
        result.save(new / "result.nc")
        study.files(new, result)
        made = sorted([RECORD, *(p.name for p in new.iterdir())])
        status = {"status": "partial" if result.status else "finished", "message": result.message, "files": made}
        record = {**asked, **status, "made": _json(result.config)}
        (new / RECORD).write_text(json.dumps(record, indent=2))
    return made


def _rejected(reasons: list[str]) -> str:
    count = Counter(reason for reason in reasons if reason)
    return "; ".join(f"{n} not: {reason}" for reason, n in count.most_common(4))


def _json(value: object) -> object:
    """Without addresses in memory, which say nothing to a reader."""
    if isinstance(value, Mapping):
        return {str(k): _json(v) for k, v in value.items()}
    return re.sub(r" at 0x[0-9a-f]+", "", value) if isinstance(value, str) else plain(value)
