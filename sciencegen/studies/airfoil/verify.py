"""The designs of a finished run, solved by another program: what `sciencegen verify RUN` does.

A design is as good as the model that judged it. XFOIL shares NeuralFoil's physics, so it finds where the network is
wrong; a Navier-Stokes solver shares none of it. Each design is solved at every operating point: by way of angles about
the one where NeuralFoil has the lift (:class:`sciencegen.solvers.at_lift.ByAngle`), or by a program's own search
for the lift from there (:class:`ByLift`). Every point is stored as it
comes, so a verification that was stopped goes on where it was, and asking for more designs costs only those.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray
from numpy.typing import ArrayLike

from ...airfoil.conditions import Point
from ...files import netcdf, replacing
from ...result import Result
from ...solvers import Isolated, Solver, SolverResult
from ...solvers.at_lift import ByAngle
from ...solvers.at_lift import verify as verify_designs
from ...solvers.store import digest
from ..tables import Table

__all__ = ["ByLift", "openfoam", "read", "table", "verify_run", "words"]

TITLES = {"xfoil": "XFOIL", "openfoam": "OpenFOAM"}
NEEDED = {"shape", "alpha", "cd", "target_cl", "reynolds"}


@dataclass(frozen=True)
class ByLift:
    """A solver that searches for lifts itself, told where to begin.

    ``solver (coordinates, reynolds=(K,), cl=(K,), start=(K,)) -> SolverResult`` with values ``cl``, ``cd``, ``cm``,
    ``alpha`` ``(K,)``, as :class:`sciencegen.solvers.OpenFOAM`.
    """

    solver: Solver

    def __call__(self, coordinates: ArrayLike, reynolds: ArrayLike, cl: ArrayLike, alpha: ArrayLike) -> SolverResult:
        """Values ``cl``, ``cd``, ``cm``, ``alpha`` ``(K,)`` at the lifts ``cl (K,)``, expected at ``alpha (K,)``."""
        found = self.solver(coordinates, reynolds=reynolds, cl=cl, start=alpha)
        values = {name: np.broadcast_to(found[name], np.shape(cl)) for name in ("cl", "cd", "cm", "alpha")}
        return SolverResult(found.status, values, wall_s=found.wall_s, log=found.log)


def openfoam() -> ByLift:
    """OpenFOAM, asked for lifts.

    Its boundary layers are turbulent from the nose on, so its lift at an angle is the lower, near its largest by two
    tenths, and the search comes to the lift from below: beyond, flows that stall have no steady state. Its drag is the
    higher; designs are compared with each other, not with NeuralFoil.
    """
    from ...solvers.openfoam import RANS, OpenFOAM

    return ByLift(OpenFOAM(RANS()))


def read(run: str | os.PathLike) -> Result:
    """The result of a run directory; ValueError if it is none that `sciencegen design airfoil` wrote."""
    file = Path(run) / "result.nc"
    if not file.is_file():
        raise ValueError(f"got {run} without a result.nc; expected a directory that `sciencegen design airfoil` wrote")
    result = Result.load(file)
    if missing := sorted(NEEDED - set(result.samples.variables)):
        raise ValueError(f"got {file} without {missing}; expected one that `sciencegen design airfoil` wrote")
    return result


def verify_run(run: str | os.PathLike, solver: ByAngle | ByLift, name: str, count: int = 8, workers: int = 2,
               progress: bool = True) -> xarray.Dataset:
    """Have the best ``count`` designs of a run solved by ``solver``, ``workers`` at a time; write ``verify_NAME.nc``.

    What is done, failures too, is kept in ``verify_NAME/`` in the run directory; delete that to start anew. Returns
    what is written: dims ``sample``, ``point``, variables as in :func:`sciencegen.solvers.at_lift.verify`, and the
    shapes. ValueError for a directory that is no run or a count below 1, FileNotFoundError if the program is not there;
    nothing is written then.
    """
    if count < 1 or workers < 1:
        raise ValueError(f"got {count} designs and {workers} workers; expected at least 1 of each")
    samples, folder = read(run).samples, Path(run)
    points = [Point(*map(_digits, at)) for at in zip(samples.target_cl.values, samples.reynolds.values)]
    # Named after all designs of the run, so that a run of another day in the same directory has a place of its own.
    out = folder / f"verify_{name}" / digest({k: samples[k].values for k in sorted(NEEDED)})[:8]
    best = samples.isel(sample=slice(count))
    shape, alpha = (torch.tensor(best[k].values) for k in ("shape", "alpha"))
    found = verify_designs(shape, alpha, points, Isolated(solver), workers, progress, out)
    if (found.status == "missing").any():
        raise FileNotFoundError(found.attrs["message"])
    found = found.assign(shape=(("sample", "weight"), best["shape"].values)).assign_attrs(solver=repr(solver))
    with replacing(folder / f"verify_{name}.nc") as new:
        found.to_netcdf(new, engine="h5netcdf")
    return found


def words(run: str | os.PathLike) -> dict[str, xarray.Dataset]:
    """What other programs have said so far of a run's designs, by the program's name; of other designs, nothing."""
    best, folder, found = read(run).samples["shape"].values, Path(run), {}
    for file in (folder / "verified.nc", *sorted(folder.glob("verify_*.nc"))):  # the first: XFOIL's, by the design job
        if file.is_file():
            said = netcdf.tree(file)[""]
            same = "shape" not in said or np.array_equal(said["shape"], best[: len(said["shape"])])
            found |= {file.stem.removeprefix("verify_").replace("verified", "xfoil"): said} if same else {}
    return found


def table(result: Result, found: Mapping[str, xarray.Dataset], count: int = 8) -> Table:
    """Drag counts of the best designs by NeuralFoil and by the programs of ``found``, a row each, for a terminal.

    Of each program the mean over the operating points, its difference from NeuralFoil's, and the points one by one.
    """
    title = "mean drag ×10⁴ (from NeuralFoil's), and at the points " + ", ".join(
        f"{_digits(cl):g}@{_digits(re):.3g}".replace("e+0", "e")
        for cl, re in zip(result.samples.target_cl.values, result.samples.reynolds.values))
    rows = []
    for i in range(min(count, len(result))):
        ours = result.samples.cd.values[i]
        rows.append({"#": str(i + 1), "NeuralFoil": _cell(ours)})
        for name, said in found.items():
            cd = said.cd.values[i] if i < said.sizes["sample"] else np.full(len(ours), np.nan)
            rows[-1][TITLES.get(name, name)] = _cell(cd, ours)
    return Table(title, rows)


def _cell(cd: np.ndarray, ours: np.ndarray | None = None) -> str:
    each = " ".join(f"{1e4 * v:.0f}" if np.isfinite(v) else "-" for v in cd)
    if not np.isfinite(cd).all():
        return f"-  {each}"
    mean = f"{1e4 * cd.mean():.1f}"
    return f"{mean}  {each}" if ours is None else f"{mean} ({100 * (cd.mean() / ours.mean() - 1):+.1f} %)  {each}"


def _digits(value: float) -> float:
    """What was typed, from a float32: 0.4 and not 0.4000000059."""
    return float(f"{value:.6g}")
