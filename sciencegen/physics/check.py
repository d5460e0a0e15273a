"""Whether stored fields solve the equation that their file says they solve, with its own parameters.

The residual is the one of :mod:`sciencegen.physics`: the norm of a sample's row is zero for a solution to rounding, and
about 1 for ``u = 0``, which is shown beside it. A file whose residual is near that of zero holds another equation,
other parameters, or other axes than it says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import xarray
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text
from tqdm.auto import tqdm

from ..io.decode import elapsed
from . import Stored, System, resolve

__all__ = ["Checked", "check", "table"]

BATCH = 16


@dataclass(frozen=True)
class Checked:
    """Residual norms by sample, of the stored solution and of zero, for one reading of the parameters."""

    label: str
    stored: np.ndarray
    zero: np.ndarray

    @property
    def verdict(self) -> str:
        """In words, by the medians: solved is below a hundredth of the residual of zero, roughly below a twentieth."""
        if not np.isfinite(self.stored).all():
            return f"not solved: {int((~np.isfinite(self.stored)).sum())} with missing numbers"
        share = np.median(self.stored) / max(np.median(self.zero), np.finfo(float).tiny)
        return "solved" if share < 0.01 else "roughly" if share < 0.05 else "not solved"


# what is given and what is solved for, by the names that files of a steady a, u use
STATIC = (("nu", "tensor"), ("coeff", "sol"), ("f_data", "phi_data"), ("f_data", "psi_data"),
          ("thresh_a_data", "thresh_p_data"))
Reader = Callable[[slice], dict[str, np.ndarray]]


def check(dataset: xarray.Dataset, name: str, parameters: Mapping[str, float] | None = None,
          beat: Callable[[], object] = lambda: None) -> list[Checked]:
    """Residuals of all samples, a batch at a time, once for each reading of the parameters.

    ``name`` is one of :func:`sciencegen.physics.resolve`; ``beat`` is called after each batch.

    Raises:
        ValueError: where a parameter is not stored, a field is complex, or the grid is not the system's.
    """
    if odd := [str(k) for k, v in dataset.data_vars.items() if v.dtype.kind == "c"]:
        raise ValueError(f"got '{odd[0]}' of complex numbers; expected real ones; store its parts as two fields")
    dataset = dataset if "sample" in dataset.sizes else dataset.expand_dims("sample")
    stored = {str(k): float(v.values[0]) for k, v in dataset.data_vars.items()
              if v.attrs.get("role") == "parameter" and (v.values == v.values[0]).all()}
    system = resolve(name, _cells(dataset))
    _compare(dataset, system)
    solution = list(system.parts)[-1]
    moves = "time" in system.parts[solution].dims
    pick, frames = _moving(dataset, system) if moves else (_still(dataset, system), 0)
    frame = _frame(dataset, apart=frames == dataset.sizes.get("time")) if frames else 0.0
    readings = system.read(Stored(frame, frames, {**stored, **(parameters or {})}))
    rows: dict[str, list[np.ndarray]] = {label: [] for label in readings}
    for first in tqdm(range(0, dataset.sizes["sample"], BATCH), desc="checking", unit="batch", delay=2, leave=False):
        parts = {part: torch.from_numpy(np.ascontiguousarray(values, np.float64))
                 for part, values in pick(slice(first, first + BATCH)).items()}
        for label, reading in readings.items():
            both = (parts, parts | {solution: torch.zeros_like(parts[solution])})
            rows[label].append(np.stack([reading.residual(**some).norm(dim=-1).numpy() for some in both]))
        beat()
    return [Checked(label, *np.concatenate(parts, 1)) for label, parts in rows.items()]


def _still(dataset: xarray.Dataset, system: System) -> Reader:
    """How to read the parts of a system in which nothing moves: by their names, or by those that files use."""
    own = tuple(system.parts)
    known = [own, *(STATIC if len(own) == 2 else ())]
    for names in known:
        if set(names) <= set(dataset.data_vars) and not any("time" in dataset[name].dims for name in names):
            return lambda rows, names=names: {part: dataset[k][rows].values for part, k in zip(own, names)}
    raise ValueError(f"got the variables {list(dataset.data_vars)}; expected one of the pairs "
                     f"{[', '.join(names) for names in known]} without time")


def _moving(dataset: xarray.Dataset, system: System) -> tuple[Reader, int]:
    """How to read the parts of a system in time, and how many frames follow the start.

    By their names; or one field, of whose frames the first is what is given.
    """
    own = tuple(system.parts)
    if set(own) <= set(dataset.data_vars):
        return lambda rows: {part: dataset[part][rows].values for part in own}, dataset[own[-1]].sizes.get("time", 1)
    moving = [str(k) for k, v in dataset.data_vars.items() if "time" in v.dims and set(v.dims) & {"x"}]
    if len(own) != 2 or len(moving) != 1:
        raise ValueError(f"got the fields {moving}; expected {', '.join(own)}" +
                         (", or one field that varies with time; drop the others" if len(own) == 2 else ""))
    field = dataset[moving[0]]
    if dataset.sizes["time"] < 2:
        raise ValueError("got one frame; expected at least two: the first is the initial state")
    return (lambda rows: dict(zip(own, (field[rows, 0].values, field[rows, 1:].values)))), dataset.sizes["time"] - 1


def _cells(dataset: xarray.Dataset) -> int:
    """Cells along x, which other axes in space have to have too."""
    if "x" not in dataset.sizes:
        raise ValueError(f"got the axes {list(dataset.sizes)}; expected 'x' among them: name the axes with --dims")
    n = dataset.sizes["x"]
    if dataset.sizes.get("y", n) != n:
        raise ValueError(f"got {n} cells along x and {dataset.sizes['y']} along y; expected as many")
    return n


def _compare(dataset: xarray.Dataset, system: System) -> None:
    """ValueError where the file's coordinates in space are not the system's, to a tenth of a cell."""
    for part in system.parts.values():
        for dim in set(part.coords) & set(dataset.coords) - {"time"}:
            wanted, values = np.asarray(part.coords[dim], float), dataset[dim].values
            if values.shape != wanted.shape or not np.allclose(values, wanted, atol=0.1 * np.ptp(wanted) / len(wanted)):
                raise ValueError(f"got {dim} from {values[0]:.4g} to {values[-1]:.4g}; expected centres of "
                                 f"{len(wanted)} cells from {wanted[0]:.4g} to {wanted[-1]:.4g}; scale the "
                                 "coordinates, fields and parameters to it first")


def _frame(dataset: xarray.Dataset, apart: bool) -> float:
    """The time between frames, the start ``apart`` from them at time 0; ValueError where they are not even."""
    times, since = elapsed(dataset["time"].values) if "time" in dataset.coords else (np.array([]), "")
    times = times.astype(float) + (times[1] - times[0] if since and apart and len(times) > 1 else 0.0)
    times = np.append(0.0, times) if apart and len(times) else times
    steps = np.diff(times)
    if not len(steps) or not np.allclose(steps, steps[0], rtol=1e-3):
        raise ValueError(f"got times {np.round(times[:4], 6).tolist()}...; expected an even step: store t-coordinate")
    return float(steps.mean())


def table(checks: list[Checked], name: str) -> Table:
    """Medians, and the worst sample, of the stored solutions beside those of zero."""
    title = f"{name}: norm of a sample's residual, 0 for a solution; {len(checks[0].stored)} samples"
    shown = Table("parameters", "", "median", "90 %", "worst, sample", "of u = 0", box=SIMPLE_HEAD, padding=(0, 1),
                  show_edge=False, title_justify="left", title=Text(title))  # no emoji of :names:
    for row in checks:
        worst = int(np.argmax(row.stored))
        shown.add_row(row.label, row.verdict, f"{np.median(row.stored):.3g}", f"{np.quantile(row.stored, 0.9):.3g}",
                      f"{row.stored[worst]:.3g}, {worst}", f"{np.median(row.zero):.3g}")
    return shown
