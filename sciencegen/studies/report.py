"""What is said of a run of a study: a table of the best designs, who judged them, what they cost; and its directory."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..result import Result
from .runs import Report, write_run
from .study import Study
from .tables import Table

__all__ = ["report", "table", "write"]


def table(study: Study, result: Result, best: int = 10) -> Table:
    """The best designs, a row each; under it why the others are rejected."""
    best = min(best, len(result))
    reasons = [str(r) for r in result.samples["reason"].values]
    rows = []
    for i in range(best):
        cells = study.row(result.samples.isel(sample=i).assign(fun=result.fun[i]))
        feasible = "yes" if result.success[i] else f"no: {reasons[i]}"
        rows.append({"#": str(i + 1), **cells, "feasible": feasible})
    return Table(f"{int(result.success.sum())} of {len(result)} designs feasible; the best {best}", rows,
                 _rejected(reasons))


def report(study: Study, result: Result) -> Report:
    """All that is said of a result."""
    good, name = int(result.success.sum()), re.sub("(?<=[a-z])(?=[A-Z])", " ", type(study).__name__)
    warnings = [f"This run was interrupted: {result.message}."] if result.status else []
    warnings += [] if good else ["No design meets all that is asked for."]
    return Report(f"{name}: {good} of {len(result)} designs feasible", (table(study, result),),
                  study.words(result).splitlines(), tuple(study.judged(result)),
                  (*warnings, *study.warnings(result)), study.captions(result))


def write(directory: Path, study: Study, result: Result, asked: Mapping[str, Any], overwrite: bool = False
          ) -> list[str]:
    """Write a run directory as a whole (:func:`.runs.write_run`); the names of its files."""

    def files(folder: Path) -> None:
        result.save(folder / "result.nc")
        study.files(folder, result)

    return write_run(directory, report(study, result), asked, files, result.config, result.message,
                     bool(result.status), overwrite)


def _rejected(reasons: list[str]) -> str:
    count = Counter(reason for reason in reasons if reason)
    return "; ".join(f"{n} not: {reason}" for reason, n in count.most_common(4))
