"""
Stored simulations as one table: an `xarray.Dataset` over the dim `case`.

Cases fail, and a solver may return more numbers for one case than for another, so columns are padded: with NaN, or
with "" where they are text. A number is NaN unless its case converged; in an array each point speaks for itself, since
a solver gives NaN where it did not converge to one.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

import numpy as np
import xarray

from sciencegen.solvers.solver import SolverResult, Status

__all__ = ["NOT_RUN", "to_dataset"]

NOT_RUN = "not run"
ABOUT, DIMS = ("status", "wall_s", "log"), ("case", "point")
Columns = dict[str, list[np.ndarray | None]]


def to_dataset(stored: Sequence[tuple[SolverResult, Mapping[str, np.ndarray]] | None], solver: str) -> xarray.Dataset:
    """`stored` (result and inputs of each case, None if not run) as columns; see `load_simulations` for their names."""
    results = [None if entry is None else entry[0] for entry in stored]
    values = _columns([None if r is None else _believed(r) for r in results])
    groups = {"value": values, "field": _columns([None if r is None else r.fields for r in results]),
              "asked": _columns([None if entry is None else entry[1] for entry in stored])}
    about = {"status": ("case", np.array([NOT_RUN if r is None else str(r.status) for r in results], dtype=str)),
             "wall_s": ("case", np.array([np.nan if r is None else r.wall_s for r in results])),
             "log": ("case", np.array(["" if r is None else r.log for r in results], dtype=str))}
    points, taken, asked = _aligned(values), {*ABOUT, *DIMS}, []
    for prefix, columns in groups.items():
        for name, column in columns.items():
            data = _stack(name, column, points if prefix == "value" else 0)
            own = name if prefix == "value" else f"{prefix}_{name}"
            while {own, *_axes(own, data.ndim - 1)} & taken:
                own = f"{prefix}_{own}"
            axes = _axes(own, data.ndim - 1)
            axes[:1] = ["point"] if axes and prefix == "value" and points else axes[:1]
            about[own] = (("case", *axes), data)
            taken |= {own, *axes}
            asked += [own] if prefix == "asked" else []
    return xarray.Dataset(about, {"case": np.arange(len(stored))}, {"solver": solver}).set_coords(asked)


def _axes(name: str, rank: int) -> list[str]:
    return [f"{name}_axis{k}" for k in range(rank)]


def _believed(result: SolverResult) -> dict[str, np.ndarray]:
    """The values, NaN in place of a number that did not converge."""
    blank = result.status != Status.CONVERGED
    return {k: np.asarray(np.nan if blank and np.ndim(v) == 0 else v) for k, v in result.values.items()}


def _columns(rows: Sequence[Mapping[str, np.ndarray] | None]) -> Columns:
    names = dict.fromkeys(name for row in rows for name in row or ())
    return {k: [None if row is None or k not in row else np.asarray(row[k]) for row in rows] for k in names}


def _aligned(values: Columns) -> int:
    """How many points a case has at most, where the first axes of all its arrays are as long; 0 where they are not."""
    lengths = [{len(array) for array in case if array is not None and array.ndim} for case in zip(*values.values())]
    return max((n for found in lengths for n in found), default=0) if all(len(found) <= 1 for found in lengths) else 0


def _stack(name: str, column: Sequence[np.ndarray | None], least: int) -> np.ndarray:
    """`(case, *largest shape)`, padded; a single number stands for a whole row, fewer axes for the first ones.

    The first axis is `least` long, or more. MemoryError where one large case would make all as large.
    """
    there = [array for array in column if array is not None]
    rank = max(array.ndim for array in there)
    shape = tuple(max(n) for n in zip(*((*a.shape, *(1,) * (rank - a.ndim)) for a in there if a.ndim or not rank)))
    shape = (max(shape[0], least), *shape[1:]) if rank else ()
    text = any(array.dtype.kind in "SU" for array in there)
    kind, blank = (object, "") if text else (np.result_type(float, *there), np.nan)
    need, most = 8 * len(column) * math.prod(shape), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if need > most:
        raise MemoryError(f"got {name!r} of shape {shape} in one of {len(column)} cases, {need / 1e9:.3g} GB as a "
                          f"table; expected less than {most / 1e9:.3g} GB; read the cases one by one, with numpy.load")
    full = np.full((len(column), *shape), blank, dtype=kind)
    for number, array in enumerate(column):
        if array is not None and not (text and array.dtype.kind not in "SU"):
            first = (0,) * (rank - array.ndim)
            where = (*map(slice, array.shape), *first) if array.ndim else ()
            full[(number, *where)] = array
    return full.astype(str) if text else full
