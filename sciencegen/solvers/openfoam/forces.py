"""
What OpenFOAM's `forceCoeffs` and `yPlus` write while a case runs.

The distributions order and name columns in their own ways. Those of openfoam.com write `coefficient.dat` with "CmPitch"
among the moments; openfoam.org's, foam-extend and older ones write `forceCoeffs.dat`, whose "Cm" is about the axis that
the case names.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sciencegen.solvers.history import History

__all__ = ["FILES", "read_forces", "read_y_plus"]

FILES = ("coefficient.dat", "forceCoeffs.dat")
NAMES = (("Cd", "Cl", "CmPitch"), ("Cd", "Cl", "Cm"))


def read_forces(texts: Iterable[Iterable[str]]) -> History:
    """
    The history in forceCoeffs' files: for each body its files in the order in which they were written.

    Columns are found by the names in the last comment; where a restart has written a time again the later line counts.
    ValueError where a file has rows and no names that are known.
    """
    tables = [_table(files) for files in texts]
    times = sorted(set.intersection(*map(set, tables)) if tables else ())
    rows = [[value for table in tables for value in table[time]] for time in times]
    return History(np.array(times, dtype=float), np.array(rows, dtype=float).reshape(len(times), 3 * len(tables)))


def _table(files: Iterable[str]) -> dict[float, list[float]]:
    rows: dict[float, list[float]] = {}
    for text in files:
        head, columns = "", list[int]()
        for line in text.splitlines():
            words = line.lstrip("#").split()
            if line.startswith("#"):
                head, columns = line, _columns(words) or columns
            elif words and not columns:
                raise ValueError(f"got forces under the head {head!r}; expected columns Time, Cd, Cl and CmPitch or "
                                 "Cm, as OpenFOAM of openfoam.com and openfoam.org writes them; use one of these")
            elif len(words) > max(columns, default=0):
                rows[float(words[0])] = [float(words[i]) for i in columns]
    return rows


def _columns(words: list[str]) -> list[int]:
    return next(([words.index(name) for name in names] for names in NAMES if set(names) <= set(words)), [])


def read_y_plus(text: str) -> float:
    """The largest y+ of the last time in `text`, over all walls; NaN where none was reported."""
    lines = [line for line in text.splitlines() if line.strip()]
    names = next((words for line in lines if "max" in (words := line.lstrip("#").split())), [])
    rows = [line.split() for line in lines if not line.startswith("#")]
    place = names.index("max") if names else 3
    return max((float(row[place]) for row in rows if row[0] == rows[-1][0] and len(row) > place), default=np.nan)
