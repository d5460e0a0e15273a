"""Another program's word on finished designs: drag at a given lift, asked for by way of angles of attack.

Asked for a lift, a program may end on a stalled boundary layer that happens to have the same lift, at three times the
drag. Asked for an angle it cannot. So each operating point is solved at the angle that NeuralFoil found and at its
neighbours, half a degree apart, then further away if need be. Where lift climbs through the target between two
neighbours that both converged, at the smallest such angle, it is solved again at two angles 0.05 degrees apart about
the interpolated one, until those two bracket the target, and the answer is read off between them. An optimised design
sits where its laminar bucket ends: interpolation over half a degree is off by up to 17 % of the drag there, over 0.05
degrees by 0.4 %. A lift that is not bracketed so is not verified: NaN, never a guess.
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

from ..airfoil import cst
from ..airfoil.conditions import Point
from . import XFOIL, Isolated, Solver, SolverResult, Status, iterate_simulations

__all__ = ["ByAngle", "EachAngle", "verify"]

NEAR, FAR = (-0.5, 0.0, 0.5), (-1.5, -1.0, 1.0, 1.5)
FINE, STEPS = 0.05, 5  # degrees between the two angles that are read off; tries to bracket the lift with them
PEAK = 0.03  # of lift, by which the largest at half degrees may miss the largest there is
VALUES = ("cl", "cd", "cm", "alpha")
BAD = (Status.MISSING, Status.CRASHED, Status.TIMEOUT, Status.UNCONVERGED)


@dataclass(frozen=True)
class ByAngle:
    """A solver for given angles, asked for given lifts.

    Arguments:
        solver: ``(coordinates, reynolds=(), alpha=(k,))`` with values ``cl``, ``cd``, ``cm`` ``(k,)``, as
            :class:`sciencegen.solvers.XFOIL`.
        near: angles about the expected one that are solved for first, degrees.
        far: further ones, solved for if lift does not climb through the target between two of ``near``.
        fine: degrees between the two angles about the target between which the answer is read off.
    """

    solver: Solver
    near: Sequence[float] = NEAR
    far: Sequence[float] = FAR
    fine: float = FINE

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
        asked = _Asked(self.solver, coordinates, reynolds)
        for offsets in (self.near, self.far) if np.isfinite(alpha) else ():
            asked.at(alpha + np.asarray(offsets))
            if len(bracket(asked.rows, cl)) or asked.answers[-1].status == Status.MISSING:
                break
        asked.about_the_largest_lift(cl)
        for step in range(STEPS):
            ends = bracket(asked.rows, cl)
            if not len(ends) or np.ptp(ends[:, -1]) <= self.fine * (1 + 1e-6):
                break
            # near the largest lift interpolation closes in from one side only: from the second step on also halve
            halves = [ends[:, -1].mean()] if step else []
            angles = np.unique(np.round([*(climb(ends, cl)[-1] + self.fine * np.array([-0.5, 0.5])), *halves], 4))
            asked.at(angles[(angles > ends[0, -1]) & (angles < ends[1, -1])], beside=True)
        ends = bracket(asked.rows, cl)
        close = len(ends) and np.ptp(ends[:, -1]) <= 2 * self.fine
        return _point(climb(ends if close else ends[:0], cl), cl, alpha, asked.answers)


class _Asked:
    """A solver at one Reynolds number: the ``answers`` so far, and their ``rows (n, 4)``, see :func:`climb`."""

    def __init__(self, solver: Solver, coordinates: np.ndarray, reynolds: float) -> None:
        self.solver, self.coordinates, self.reynolds = solver, coordinates, reynolds
        self.answers: list[SolverResult] = []
        self.rows = np.empty((0, len(VALUES)))

    def at(self, angles: np.ndarray, beside: bool = False) -> None:
        """Ask for ``angles``; ``beside`` others, those that do not converge do not count."""
        self.answers.append(self.solver(self.coordinates, self.reynolds, alpha=angles))
        rows = _rows(self.answers[-1], angles)
        self.rows = np.concatenate([self.rows, rows[np.isfinite(rows).all(1)] if beside else rows])

    def about_the_largest_lift(self, cl: float) -> None:
        """Where ``cl`` is little more than the largest lift so far: it may be reached between two angles."""
        lifts = self.rows[np.isfinite(self.rows).all(1)]
        if len(lifts) and not len(bracket(self.rows, cl)) and 0 <= cl - lifts[:, 0].max() < PEAK:
            self.at(np.round(lifts[lifts[:, 0].argmax(), -1] + np.array([-0.25, -0.1, 0.1, 0.25]), 4), beside=True)


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


def bracket(rows: np.ndarray, cl: float) -> np.ndarray:
    """The two neighbours in ``rows (n, m)``, lift first and angle last, between which lift climbs through ``cl``.

    ``(2, m)``, at the smallest angle; ``(0, m)`` if there are no two that are both finite.
    """
    rows = rows[rows[:, -1].argsort()]
    for low, high in zip(rows, rows[1:]):
        if low[0] <= cl < high[0] and np.isfinite([low, high]).all():
            return np.stack([low, high])
    return rows[:0]


def climb(rows: np.ndarray, cl: float) -> np.ndarray:
    """``rows (n, m)`` at the lift ``cl``, ``(m,)``: interpolated in their :func:`bracket`, NaN without one."""
    ends = bracket(rows, cl)
    if not len(ends):
        return np.full(rows.shape[1], np.nan)
    low, high = ends
    return low + (cl - low[0]) / (high[0] - low[0]) * (high - low)


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
    message = _message(table["cd"], status.reshape(rows), log.reshape(rows))
    return xarray.Dataset(data, coords, {"message": message})


def _message(cd: np.ndarray, status: np.ndarray, log: np.ndarray) -> str:
    verified = np.isfinite(cd)
    done = f"{int(verified.all(-1).sum())} of {len(cd)} designs verified at every operating point"
    if (status == str(Status.MISSING)).any():
        missing = log[status == str(Status.MISSING)][0]
        why = missing.splitlines()[0].partition("missing, ")[2] or missing
        return f"nothing was verified, drag and moment are NeuralFoil's alone: {why}"
    left = [f"design {i}, point {k} ({status[i, k]})" for i, k in zip(*np.nonzero(~verified))]
    return done if not left else f"{done}; not verified: {', '.join(left[:6])}{' and others' * (len(left) > 6)}"
