"""
XFOIL, the reference for subsonic airfoils, behind the :class:`~sciencegen.solvers.solver.Solver` contract.

XFOIL couples a linear-vorticity panel method with an integral boundary layer and wake through one Newton iteration:
inviscid flow, displacement thickness, transition (e^n envelope) and lift are solved together. Reference: "XFOIL: An
Analysis and Design System for Low Reynolds Number Airfoils" (Drela, 1989), https://web.mit.edu/drela/Public/web/xfoil/.

**Every point is a run of its own, from a fresh boundary layer.** A sweep that carries the solution along is the usual
advice, but one point that blows up then poisons the next, hysteresis makes a value depend on its neighbours, and a
second start costs only 10 ms. So a point's value depends on nothing else that is asked. A point that fails is tried
again by way of a neighbouring point, then with 5 % fewer or more panels; the log names the way that led there.

Near maximum lift several boundary layers can have the same lift: attached, and stalled at twice the drag. A lift is
therefore led to, by XFOIL's own search for lifts, from one that is 0.1 nearer to none, so that the attached one is
found. That search can end on numbers that belong to no flow (an LWK 80-080 with 26 counts of drag where it has 93), so
a lift counts only where the angle that was found, asked for from a fresh boundary layer, has the same lift and drag. A
lift beyond the maximum is `unconverged` like any other failure: XFOIL does not tell the two apart.

XFOIL itself takes any coordinates for chords. Here outlines are put in order, moved and scaled to a unit chord first,
so that neither changes a number; they are not turned, as angles of attack are measured from their x axis.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from sciencegen.airfoil.chordline import chord
from sciencegen.airfoil.outline import selig
from sciencegen.solvers import traps
from sciencegen.solvers.points import requests
from sciencegen.solvers.polar import COLUMNS, OUTLINE, POLAR, Approach, PolarPoint, agree, read_polar
from sciencegen.solvers.process import run
from sciencegen.solvers.solver import SolverResult, Status

__all__ = ["XFOIL"]

# measured on 120 UIUC airfoils: the same panels first, as drag near stall depends on them; from below first, as a start
# from a higher lift ends more often on the stalled branch
APPROACHES = (Approach(), Approach(-0.02), Approach(0.02), Approach(-0.1), Approach(finer=0.95), Approach(finer=1.05))
LED = (Approach(-0.1), Approach(-0.02), Approach(-0.2), Approach(-0.1, 0.95), Approach(-0.1, 1.05), Approach(-0.05))
MOST_COORDINATES = 1000  # XFOIL stops without a word a little above, and refuses 1480
TURNED = 5.0  # degrees between chord and x axis: the old sections whose axis is their flat side have up to 4


@dataclass(frozen=True)
class Attempt:
    """What one run said of one point: `row` is empty unless `status` is converged."""

    status: Status
    log: str
    row: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class XFOIL:
    """
    Viscous polar points of an airfoil at given angles of attack or given lift coefficients.

    `n_crit` is the logarithm of the amplification at transition (9: a quiet wind tunnel), `mach` the free stream's Mach
    number, `iterations` the Newton iterations given to a point, `panels` the panels XFOIL distributes over the outline,
    `timeout` the seconds given to one call, all its points together, `program` the executable's name or path.
    """

    n_crit: float = 9.0
    mach: float = 0.0
    iterations: int = 100
    panels: int = 200
    timeout: float = 20.0
    program: str = "xfoil"

    def __post_init__(self) -> None:
        if not 40 <= self.panels <= 340:
            raise ValueError(f"XFOIL takes 40 to 340 panels; got {self.panels}")
        if not 0 <= self.mach < 1:
            raise ValueError(f"XFOIL's compressibility correction needs 0 <= mach < 1; got {self.mach}")

    def __call__(
        self, coordinates: ArrayLike, reynolds: ArrayLike, alpha: ArrayLike | None = None, cl: ArrayLike | None = None
    ) -> SolverResult:
        """
        Solve for the angles `alpha` (k,) in degrees or the lift coefficients `cl` (k,), one of the two.

        `coordinates` (n, 2) are an outline in any order, place and unit that
        :func:`~sciencegen.airfoil.outline.selig` takes; the trailing edge may be sharp or blunt. `reynolds` () or (k,)
        is based on the chord, from the nose to the middle of the trailing edge.

        `values` has `alpha` (degrees, from the x axis of the coordinates), `cl`, `cd`, `cm` (based on the chord, and
        about the point a quarter of it behind the nose along that axis), `top_transition` and `bottom_transition`
        (x/c), each (k,) and NaN where XFOIL did not converge to the requested point. The status is `converged` if every
        point did. What is no outline of an airfoil, or has a chord turned by more than 5 degrees, is `unconverged`;
        ValueError is raised for shapes and requests that no outline could satisfy.
        """
        start = time.monotonic()
        outline, defect = _placed(_points(coordinates))
        points = [PolarPoint(r.reynolds, r.kind, r.target) for r in requests(reynolds, alpha, cl)]
        program = shutil.which(self.program)
        if program is None:
            attempts = dict.fromkeys(points, Attempt(Status.MISSING, self._advice()))
        elif defect:
            attempts = dict.fromkeys(points, Attempt(Status.UNCONVERGED, f"XFOIL was not run: {defect}"))
        else:
            runnable = replace(self, program=str(Path(program).absolute()))
            attempts = runnable._solve(outline, points, start + self.timeout)
        return _result([attempts[point] for point in points], points, time.monotonic() - start)

    def available(self) -> tuple[bool, str]:
        """Whether the program gives numbers here, found by running a NACA 0012, and if not why and what to do."""
        result = self(_naca_0012(), 1e6, alpha=2.0)
        if result.status == Status.CONVERGED:
            return True, f"{shutil.which(self.program)} solves a NACA 0012"
        return False, result.log

    def _advice(self) -> str:
        return f"no program {self.program!r}; install XFOIL (`apt install xfoil`) or pass program='/path/to/xfoil'"

    def _solve(self, outline: np.ndarray, points: list[PolarPoint], deadline: float) -> dict[PolarPoint, Attempt]:
        """Try the approaches in turn, each on all points still missing; a run that hangs uses up its own share only."""
        attempts = dict.fromkeys(points, Attempt(Status.TIMEOUT, "no time was left to start"))
        share = self.timeout / len(APPROACHES)
        for direct, led in zip(APPROACHES, LED, strict=True):
            for point in [point for point, attempt in attempts.items() if not attempt.row]:
                left, approach = deadline - time.monotonic(), led if point.kind == "cl" else direct
                if left > 0:
                    attempts[point] = self._attempt(outline, point, approach, min(left, share))
        return attempts

    def _attempt(self, outline: np.ndarray, point: PolarPoint, approach: Approach, limit: float) -> Attempt:
        """One way to one point; a lift counts where the angle that XFOIL finds for it, asked for itself, has it too."""
        found = self._drive(outline, point, approach, limit)
        if point.kind == "alpha" or not found.row:
            return found
        there = PolarPoint(point.reynolds, "alpha", found.row["alpha"])
        for way in APPROACHES[:3]:
            again = self._drive(outline, there, replace(way, finer=approach.finer), limit)
            if again.row and agree(found.row, again.row):
                return found
        told = f"a lift at {there.target:g} degrees that this angle, asked for itself, does not have, {approach}"
        return Attempt(Status.UNCONVERGED, told)

    def _drive(self, outline: np.ndarray, point: PolarPoint, approach: Approach, limit: float) -> Attempt:
        script = point.script(approach, self.n_crit, self.mach, self.iterations, self.panels)
        code, output, rows = self._run(outline, script, limit)
        if code == -signal.SIGFPE:
            if advice := traps.build():
                return Attempt(Status.CRASHED, advice)
            code, output, rows = self._run(outline, script, limit)
        if code is None:
            return Attempt(Status.TIMEOUT, f"stopped after {limit:.3g} s; {_tail(output)}")
        if code:
            return Attempt(Status.CRASHED, f"ended with return code {code}; {_tail(output)}")
        if rows and point.reached(rows[-1]):
            return Attempt(Status.CONVERGED, str(approach), rows[-1])
        return Attempt(Status.UNCONVERGED, _tail(output))

    def _run(self, outline: np.ndarray, script: str, limit: float) -> tuple[int | None, str, list[dict[str, float]]]:
        """One run in a folder of its own: return code, what it printed, the rows of its polar."""
        with tempfile.TemporaryDirectory(prefix="xfoil") as name:
            folder = Path(name)
            np.savetxt(folder / OUTLINE, outline, fmt="%.12g", header="outline", comments="")
            finished = run([self.program], script, folder, limit, traps.environment())
            polar = folder / POLAR
            text = polar.read_text(errors="replace") if polar.is_file() else ""
        return finished.returncode, finished.output, read_polar(text)


def _points(coordinates: ArrayLike) -> np.ndarray:
    points = np.asarray(coordinates, dtype=float)
    if points.ndim == 2 and points.shape[1] == 2 and 10 <= len(points) <= MOST_COORDINATES:
        return points
    raise ValueError(f"coordinates must be (n, 2) with 10 <= n <= {MOST_COORDINATES}; got {points.shape}")


def _placed(points: np.ndarray) -> tuple[np.ndarray, str]:
    """The outline from its tail on, nose at 0 and chord 1; and why XFOIL's numbers would mean nothing, or ""."""
    try:
        outline = selig(points)
    except ValueError as error:
        return points, str(error)
    line = chord(outline)
    if abs(line.angle) > TURNED:
        return outline, (
            f"got an outline whose chord is {line.angle:.1f} degrees from the x axis, from which angles of attack are "
            f"measured; expected at most {TURNED:g}; turn it by airfoil.normalize(coordinates)")
    return (outline - line.nose) / line.length, ""


def _result(attempts: list[Attempt], points: list[PolarPoint], wall_s: float) -> SolverResult:
    values = {name: np.array([attempt.row.get(name, np.nan) for attempt in attempts]) for name in COLUMNS}
    found = {attempt.status for attempt in attempts}
    worst = (Status.MISSING, Status.TIMEOUT, Status.CRASHED, Status.UNCONVERGED)
    status = next((status for status in worst if status in found), Status.CONVERGED)
    lines = [f"{point}: {attempt.status}, {attempt.log}" for point, attempt in zip(points, attempts)]
    return SolverResult(status, values, wall_s=wall_s, log="\n".join(lines))


def _tail(output: str) -> str:
    return f"its last words: ...{output[-400:]}" if output else "it printed nothing"


def _naca_0012(count: int = 81) -> np.ndarray:
    x = 0.5 * (1 + np.cos(np.linspace(0, np.pi, count)))
    y = 0.6 * (0.2969 * np.sqrt(x) - 0.1260 * x - 0.3516 * x**2 + 0.2843 * x**3 - 0.1036 * x**4)
    return np.concatenate([np.stack([x, y], 1), np.stack([x, -y], 1)[-2::-1]])
