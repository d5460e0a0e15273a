"""Another program's word on finished designs: drag at a given lift, asked for by way of angles of attack.

Asked for a lift, XFOIL may end on a stalled boundary layer that happens to have the same lift, at three times the drag.
Asked for an angle it cannot. So each operating point is solved at the angle that NeuralFoil found and at its
neighbours, half a degree apart, then further away if need be, and the answer is read off where lift climbs through the
target between two neighbours that both converged, at the smallest such angle. Interpolating over half a degree is good
for 0.4 % of the drag below stall (35 of 36 UIUC operating points; 1.3 % of the last). A lift that is not bracketed so
is not verified: NaN, never a guess.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import xarray
from numpy.typing import ArrayLike
from torch import Tensor
from tqdm.auto import tqdm

from ...airfoil import cst
from ...solvers import XFOIL, Isolated, Solver, SolverResult, Status, iterate_simulations
from .question import Point

__all__ = ["ByAngle", "EachAngle", "verify"]

NEAR, FAR = (-0.5, 0.0, 0.5), (-1.5, -1.0, 1.0, 1.5)
VALUES = ("cl", "cd", "cm", "alpha")
NOTHING = dict.fromkeys(VALUES, np.nan)
BAD = (Status.MISSING, Status.CRASHED, Status.TIMEOUT, Status.UNCONVERGED)


@dataclass(frozen=True)
class ByAngle:
    """A solver for given angles, asked for given lifts.

    Arguments:
        solver: ``(coordinates, reynolds=(), alpha=(k,))`` with values ``cl``, ``cd``, ``cm`` ``(k,)``, as
            :class:`sciencegen.solvers.XFOIL`.
        near: angles about the expected one that are solved for first, degrees.
        far: further ones, solved for if lift does not climb through the target between two of ``near``.
    """

    solver: Solver
    near: Sequence[float] = NEAR
    far: Sequence[float] = FAR

    def __call__(self, coordinates: ArrayLike, reynolds: ArrayLike, cl: ArrayLike, alpha: ArrayLike) -> SolverResult:
        """Values ``cl``, ``cd``, ``cm``, ``alpha`` ``(K,)`` at the lifts ``cl (K,)``, expected at ``alpha (K,)``.

        Degrees and coefficients, NaN where the lift is not bracketed; ``fields["status"] (K,)`` says how each point
        ended: as a :class:`sciencegen.solvers.Status`, or "unreached" where all angles converged and none carries it.
        """
        points = [self._at(np.asarray(coordinates), *map(float, point)) for point in zip(reynolds, cl, alpha)]
        values = {name: np.array([found.values[name] for found in points]) for name in VALUES}
        log = "\n".join(found.log for found in points if found.status != Status.CONVERGED)
        return SolverResult(_worst([found.status for found in points]), values,
                            {"status": np.array([str(found.fields["status"]) for found in points])},
                            sum(found.wall_s for found in points), log)

    def _at(self, coordinates: np.ndarray, reynolds: float, cl: float, alpha: float) -> SolverResult:
        rows, answers = np.empty((0, len(VALUES))), []
        for offsets in (self.near, self.far) if np.isfinite(alpha) else ():
            angles = alpha + np.asarray(offsets)
            answers.append(self.solver(coordinates, reynolds, alpha=angles))
            rows = np.concatenate([rows, _rows(answers[-1], angles)])
            if np.isfinite(climb(rows, cl)).all() or answers[-1].status == Status.MISSING:
                break
        return _point(climb(rows, cl), cl, alpha, answers)


@dataclass(frozen=True)
class EachAngle:
    """A solver for one angle, asked for several: one run each, NaN where a run did not converge.

    ``solver (coordinates, reynolds=(), alpha=()) -> SolverResult`` with values ``cl``, ``cd``, ``cm``.
    """

    solver: Solver

    def __call__(self, coordinates: ArrayLike, reynolds: float, alpha: ArrayLike) -> SolverResult:
        """Values ``cl``, ``cd``, ``cm`` ``(k,)`` at the angles ``alpha (k,)``, degrees."""
        answers = [self.solver(coordinates, reynolds=reynolds, alpha=angle) for angle in np.ravel(alpha).tolist()]
        good = [a.status == Status.CONVERGED for a in answers]
        values = {name: np.array([float(np.ravel(a[name])[0]) if met else np.nan for a, met in zip(answers, good)])
                  for name in VALUES[:-1]}
        log = "\n".join(a.log for a, met in zip(answers, good) if not met)
        return SolverResult(_worst([a.status for a in answers]), values, wall_s=sum(a.wall_s for a in answers), log=log)


def climb(rows: np.ndarray, cl: float) -> np.ndarray:
    """``rows (n, m)``, lift first and angle last, where lift climbs through ``cl`` at the smallest angle.

    ``(m,)`` by linear interpolation; NaN if it does not between two neighbours that are both finite.
    """
    rows = rows[rows[:, -1].argsort()]
    for low, high in zip(rows, rows[1:]):
        if low[0] <= cl < high[0] and np.isfinite([low, high]).all():
            return low + (cl - low[0]) / (high[0] - low[0]) * (high - low)
    return np.full(rows.shape[1], np.nan)


def verify(shape: Tensor, alpha: Tensor, points: Sequence[Point], solver: Solver | None = None, workers: int = 2,
           progress: bool = True, out: str | os.PathLike | None = None) -> xarray.Dataset:
    """Designs by XFOIL at their operating points: dims ``sample``, ``point``; ``workers`` programs at a time.

    Arguments:
        shape: ``(N, 18)``.
        alpha: ``(N, K)``, the angles at which the lifts are expected, degrees.
        points: the ``K`` operating points.
        solver: another program, for given angles or as :class:`ByAngle`; XFOIL by default. ``Isolated(ByAngle(...))``
            costs a fork a point, but stops with its caller.
        out: directory from which an interrupted verification goes on, see :func:`sciencegen.solvers.map_simulations`.

    Returns:
        ``cl``, ``cd``, ``cm``, ``alpha``, ``status``, ``log`` ``(sample, point)`` and ``mean_cd (sample,)``, NaN unless
        every point was verified; the attribute ``message`` says in words what was not, and what to do.
    """
    if shape.ndim != 2 or alpha.shape != (len(shape), len(points)):
        raise ValueError(f"got shape {tuple(shape.shape)}, alpha {tuple(alpha.shape)} and {len(points)} points; "
                         f"expected (N, 18), (N, {len(points)})")
    # To the four digits that say anything about an angle: a rounding error upstream should not move XFOIL's answer.
    angles = np.round(alpha.detach().double().numpy(), 4)
    # One by one: the last bit of an outline depends on the size of its batch, and a case is known by its bits.
    outlines = [cst.outline(row).numpy() for row in shape.detach().double()]
    cases = [{"coordinates": outline, "reynolds": [point.reynolds], "cl": [point.cl], "alpha": [angle]}
             for outline, at in zip(outlines, angles) for point, angle in zip(points, at)]
    asked = solver if isinstance(solver, ByAngle | Isolated) else ByAngle(XFOIL() if solver is None else solver)
    # threads: the work is in the programs that they wait for
    with nullcontext() if isinstance(asked, Isolated) else ThreadPoolExecutor(workers) as pool:
        running = iterate_simulations(asked, cases, pool, out, workers)
        found = dict(tqdm(running, "verify", len(cases), disable=None if progress else True))
    return _dataset([found[number] for number in range(len(cases))], points)


def _point(found: np.ndarray, cl: float, alpha: float, answers: Sequence[SolverResult]) -> SolverResult:
    """One point's result: ``found (4,)`` from the ``answers`` of the solver."""
    fields, wall_s = {"status": np.array("converged")}, sum(a.wall_s for a in answers)
    if np.isfinite(found).all():
        return SolverResult(Status.CONVERGED, dict(zip(VALUES, found)), fields, wall_s)
    status = _worst([a.status for a in answers])
    fields["status"] = np.array("unreached" if answers and status == Status.CONVERGED else str(status))
    log = answers[-1].log if answers else "the expected angle is not a number"
    if status != Status.MISSING:
        log = f"lift {cl:g} is not bracketed by angles about {alpha:.2f} degrees that converged; {log}"
    failed = Status.UNCONVERGED if status == Status.CONVERGED else status
    return SolverResult(failed, dict(zip(VALUES, found)), fields, wall_s, log)


def _worst(statuses: Sequence[Status]) -> Status:
    return next((s for s in BAD if s in statuses), Status.CONVERGED)


def _rows(answer: SolverResult, angles: np.ndarray) -> np.ndarray:
    """``(n, 4)``: lift, drag, moment and angle; NaN where the solver did not converge."""
    return np.stack([answer[name] * np.ones(len(angles)) for name in VALUES[:-1]] + [angles], axis=1)


def _dataset(results: list[SolverResult], points: Sequence[Point]) -> xarray.Dataset:
    """The answers to all points of the first design, then of the second, and so on."""
    rows = (-1, len(points))
    table = {name: np.array([np.ravel(r[name])[0] for r in results]).reshape(rows) for name in VALUES}
    status = np.array([str(r.fields["status"][0]) if r.fields else str(r.status) for r in results], dtype=object)
    data = {name: (("sample", "point"), value) for name, value in table.items()}
    log = np.array([r.log for r in results], dtype=object)
    data |= {"status": (("sample", "point"), status.reshape(rows)), "log": (("sample", "point"), log.reshape(rows)),
             "mean_cd": ("sample", table["cd"].mean(-1))}
    coords = {"target_cl": ("point", [p.cl for p in points]), "reynolds": ("point", [p.reynolds for p in points])}
    return xarray.Dataset(data, coords, {"message": _message(results, table["cd"], status.reshape(rows))})


def _message(results: list[SolverResult], cd: np.ndarray, status: np.ndarray) -> str:
    verified = np.isfinite(cd)
    done = f"{int(verified.all(-1).sum())} of {len(cd)} designs verified at every operating point"
    missing = next((r.log for r in results if r.status == Status.MISSING), None)
    if missing is not None:
        why = missing.splitlines()[0].partition("missing, ")[2] or missing
        return f"nothing was verified, drag and moment are NeuralFoil's alone: {why}"
    left = [f"design {i}, point {k} ({status[i, k]})" for i, k in zip(*np.nonzero(~verified))]
    return done if not left else f"{done}; not verified: {', '.join(left[:6])}{' and others' * (len(left) > 6)}"
