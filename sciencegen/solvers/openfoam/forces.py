"""What OpenFOAM's `forceCoeffs` and `yPlus` write while a case runs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sciencegen.solvers.history import History

__all__ = ["read_forces", "read_y_plus"]

NAMES = ("Cd", "Cl", "CmPitch")


def read_forces(texts: Iterable[Iterable[str]]) -> History:
    """
    The history in forceCoeffs' files: for each body its files in the order in which they were written.

    Columns are found by the names in the last comment, as other versions of OpenFOAM order them in other ways; where a
    restart has written a time again the later line counts.
    """
    tables = [_table(files) for files in texts]
    times = sorted(set.intersection(*map(set, tables)) if tables else ())
    rows = [[value for table in tables for value in table[time]] for time in times]
    return History(np.array(times, dtype=float), np.array(rows, dtype=float).reshape(len(times), 3 * len(tables)))


def _table(files: Iterable[str]) -> dict[float, list[float]]:
    rows: dict[float, list[float]] = {}
    for text in files:
        columns: list[int] = []
        for line in text.splitlines():
            words = line.lstrip("#").split()
            if line.startswith("#"):
                columns = [words.index(name) for name in NAMES] if set(NAMES) <= set(words) else columns
            elif columns and len(words) > max(columns):
                rows[float(words[0])] = [float(words[i]) for i in columns]
    return rows


def read_y_plus(text: str) -> float:
    """The largest y+ of the last time in `text`, over all walls; NaN where none was reported."""
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return max((float(row[3]) for row in rows if row[0] == rows[-1][0]), default=np.nan)
