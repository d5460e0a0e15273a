"""Whether stored fields solve the equation that their file says they solve, with its own parameters.

The residual is the one of :mod:`sciencegen.physics`: the norm of a sample's row is zero for a solution to rounding, and
about 1 for ``u = 0``, which is shown beside it. A file whose residual is near that of zero holds another equation,
other parameters, or other axes than it says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray
from rich.box import SIMPLE_HEAD
from rich.table import Table
from tqdm.auto import tqdm

from ... import physics

__all__ = ["NAMES", "Checked", "check", "table"]

BATCH = 16


@dataclass(frozen=True)
class Checked:
    """Residual norms by sample, of the stored solution and of zero, for one reading of the parameters."""

    label: str
    stored: np.ndarray
    zero: np.ndarray


@dataclass(frozen=True)
class Given:
    """What a file says: its grid's cells, the time between frames, how many follow the first, and its parameters."""

    n: int
    frame: float
    frames: int
    parameters: Mapping[str, float]

    def __call__(self, *names: str) -> float:
        """A parameter, under whichever of its names it is stored."""
        for name in names:
            if name in self.parameters:
                return self.parameters[name]
        raise ValueError(f"got the parameters {sorted(self.parameters)}; expected one of {list(names)}; say it "
                         f"yourself: --parameter {names[0]}=VALUE")


Readings = dict[str, Any]


def _burgers(given: Given) -> Readings:
    """PDEBench's generator divides its ``Nu`` by pi; others do not. Both are tried."""
    nu, system = given("nu", "Nu"), lambda v: physics.Burgers(given.n, v, given.frame, given.frames)
    return {f"nu = {nu:.4g}": system(nu), f"nu = {nu:.4g} / pi, as PDEBench means it": system(nu / math.pi)}


def _heat(given: Given) -> Readings:
    nu = given("nu", "Nu")
    return {f"nu = {nu:.4g}": physics.Heat(physics.Fourier(given.n), nu, given.frame, given.frames)}


def _navier_stokes(given: Given) -> Readings:
    nu, force = given("nu", "Nu"), given.parameters.get("force", 0.1)
    system = physics.NavierStokes(given.n, nu, force, given.frame, given.frames)
    return {f"nu = {nu:.4g}, force = {force:.4g}": system}


def _darcy(given: Given) -> Readings:
    f = given("f", "beta")
    return {f"f = {f:.4g}": physics.Darcy(given.n, f)}


def _helmholtz(given: Given) -> Readings:
    k = given("k")
    return {f"k = {k:.4g}": physics.Helmholtz(given.n, k)}


def _poisson(given: Given) -> Readings:
    return {"source and walls as given": physics.Poisson(given.n)}


NAMES: Mapping[str, Callable[[Given], Readings]] = {
    "burgers": _burgers, "darcy": _darcy, "heat": _heat, "helmholtz": _helmholtz, "navier-stokes": _navier_stokes,
    "poisson": _poisson}
# what is given and what is solved for, by the names that files use
STATIC = (("nu", "tensor"), ("coeff", "sol"), ("f_data", "phi_data"), ("f_data", "psi_data"),
          ("thresh_a_data", "thresh_p_data"), ("a", "u"))


def check(dataset: xarray.Dataset, name: str, parameters: Mapping[str, float] | None = None) -> list[Checked]:
    """Residuals of all samples, a batch at a time, once for each reading of the parameters.

    Raises:
        ValueError: where the system is not known, a parameter is not stored, or the grid is not the system's.
    """
    if name not in NAMES:
        raise ValueError(f"got --physics {name}; expected one of {sorted(NAMES)}")
    stored = {str(k): float(v.values[0]) for k, v in dataset.data_vars.items()
              if v.attrs.get("role") == "parameter" and (v.values == v.values[0]).all()}
    pick, frames = _pair(dataset, steady=name in ("darcy", "helmholtz", "poisson"))
    given = Given(_cells(dataset), _frame(dataset) if frames else 0.0, frames, {**stored, **(parameters or {})})
    readings = NAMES[name](given)
    rows: dict[str, list[np.ndarray]] = {label: [] for label in readings}
    for first in tqdm(range(0, dataset.sizes["sample"], BATCH), desc="checking", unit="batch", delay=2, leave=False):
        a, u = (torch.from_numpy(np.ascontiguousarray(part, np.float64)) for part in pick(slice(first, first + BATCH)))
        for label, system in readings.items():
            norms = [system.residual(a, v).norm(dim=-1).numpy() for v in (u, torch.zeros_like(u))]
            rows[label].append(np.stack(norms))
    return [Checked(label, *np.concatenate(parts, 1)) for label, parts in rows.items()]


def _pair(dataset: xarray.Dataset, steady: bool) -> tuple[Callable[[slice], tuple[np.ndarray, np.ndarray]], int]:
    """How to read what is given and what is solved for, and how many frames the latter has."""
    if steady:
        for a, u in STATIC:
            if {a, u} <= set(dataset.data_vars) and "time" not in dataset[u].dims:
                return partial(_static, dataset[a], dataset[u]), 0
        raise ValueError(f"got the variables {list(dataset.data_vars)}; expected one of the pairs "
                         f"{[f'{a}, {u}' for a, u in STATIC]} without time")
    moving = [str(k) for k, v in dataset.data_vars.items() if "time" in v.dims and set(v.dims) & {"x"}]
    if len(moving) != 1:
        raise ValueError(f"got the fields {moving}; expected one that varies with time; drop the others")
    field = dataset[moving[0]]
    if "a" in dataset and moving == ["u"]:
        return lambda rows: (dataset["a"][rows].values, field[rows].values), dataset.sizes["time"]
    if dataset.sizes["time"] < 2:
        raise ValueError("got one frame; expected at least two: the first is the initial state")
    return lambda rows: (field[rows, 0].values, field[rows, 1:].values), dataset.sizes["time"] - 1


def _static(a: xarray.DataArray, u: xarray.DataArray, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    return a[rows].values, u[rows].values


def _cells(dataset: xarray.Dataset) -> int:
    """Cells along a side; ValueError unless the grid is a unit line or square of cell centres."""
    n = dataset.sizes["x"]
    for dim in ("x", "y"):
        if dataset.sizes.get(dim, n) != n:
            raise ValueError(f"got {n} cells along x and {dataset.sizes[dim]} along {dim}; expected as many")
        if dim in dataset.coords:
            values = dataset[dim].values
            if not np.allclose(values, (np.arange(n) + 0.5) / n, atol=0.1 / n):
                raise ValueError(f"got {dim} from {values[0]:.4g} to {values[-1]:.4g}; expected centres of {n} cells "
                                 "of the unit side; scale the coordinates, fields and parameters to it first")
    return n


def _frame(dataset: xarray.Dataset) -> float:
    """The time between frames; ValueError where frames are not evenly spaced."""
    times = dataset["time"].values.astype(float) if "time" in dataset.coords else np.array([])
    if "a" in dataset and len(times) == dataset.sizes["time"]:
        times = np.append(0.0, times)
    steps = np.diff(times)
    if not len(steps) or not np.allclose(steps, steps[0], rtol=1e-3):
        raise ValueError(f"got times {np.round(times[:4], 6).tolist()}...; expected an even step: store t-coordinate")
    return float(steps.mean())


def table(checks: list[Checked], name: str) -> Table:
    """Medians, and the worst sample, of the stored solutions beside those of zero."""
    shown = Table("parameters", "samples", "median", "90 %", "worst", "in sample", "of u = 0", box=SIMPLE_HEAD,
                  padding=(0, 1), show_edge=False, title_justify="left",
                  title=f"{name}: norm of a sample's residual, 0 for a solution")
    for row in checks:
        worst = int(np.argmax(row.stored))
        shown.add_row(row.label, str(len(row.stored)), f"{np.median(row.stored):.3g}",
                      f"{np.quantile(row.stored, 0.9):.3g}", f"{row.stored[worst]:.3g}", str(worst),
                      f"{np.median(row.zero):.3g}")
    return shown
