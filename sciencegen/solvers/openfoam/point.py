"""One operating point from mesh to verdict: programs run in stages, and the forces are looked at after each."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sciencegen.solvers.history import History, Steadiness
from sciencegen.solvers.mesh import Body, Mesh, PlaneMesh
from sciencegen.solvers.openfoam.case import STEADY, TRANSIENT, Case, cell_vectors, with_vectors
from sciencegen.solvers.openfoam.fields import Grid
from sciencegen.solvers.openfoam.flow import Flow
from sciencegen.solvers.openfoam.forces import FILES, read_forces, read_y_plus
from sciencegen.solvers.openfoam.polymesh import polymesh
from sciencegen.solvers.points import Tried, coefficients
from sciencegen.solvers.process import run
from sciencegen.solvers.solver import Status

__all__ = ["FlowPoint", "environment"]

DEBIAN = Path("/usr/share/openfoam")
LIFT_SLOPE = 0.1  # per degree, to start a search for a lift
SEARCHES = 6
LIFT_TOLERANCE = 1e-3
KICK, KICK_SIZE = 0.2, 0.25  # speed and radius of the vortex that tests a steady state


class Stopped(Exception):
    """A stage that gave no answer; `status` and the words say why."""

    def __init__(self, status: Status, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True, eq=False)
class FlowPoint:
    """A Reynolds number, a mesh, a deadline (on the monotonic clock) and perhaps a grid for bodies in a flow."""

    flow: Flow
    bodies: Sequence[Body]
    reynolds: float
    mesh: Mesh
    deadline: float
    grid: Grid | None = None

    def at_angles(self, folder: Path, angles: Sequence[float], timeout: float) -> list[Tried]:
        """
        The forces at angles (degrees), up to and with the first that gives none; `timeout` seconds for each.

        All are on one mesh, and each starts from the last one's flow: near stall a steady solver that starts from the
        uniform stream may not settle at an angle to which it can be led.
        """
        attempts: list[Tried] = []
        mesh = None
        for alpha in angles:
            point = replace(self, deadline=time.monotonic() + timeout)
            try:
                mesh = mesh or point._prepare(folder, alpha, float(np.mean(angles)))
                attempts.append(point._settle(folder, alpha, mesh))
            except Stopped as stopped:
                attempts.append(Tried(stopped.status, str(stopped), history=self._so_far(folder, alpha)))
            if not attempts[-1].values:
                break
        return attempts

    def at_lift(self, folder: Path, target: float, start: float | None = None) -> Tried:
        """The forces at the angle that gives the lift: secant method from `start`, each angle from the last flow."""
        angles, lifts = [], []
        alpha, attempt = target / LIFT_SLOPE if start is None else start, Tried(Status.UNCONVERGED, "")
        try:
            mesh = self._prepare(folder, alpha, alpha)
            for _ in range(SEARCHES):
                attempt = self._settle(folder, alpha, mesh)
                if not attempt.values:
                    return attempt
                angles, lifts = [*angles, alpha], [*lifts, float(np.sum(attempt.values["cl"]))]
                if abs(lifts[-1] - target) <= LIFT_TOLERANCE:
                    return attempt
                alpha += (target - lifts[-1]) / _slope(angles, lifts)
        except Stopped as stopped:
            return Tried(stopped.status, str(stopped), history=attempt.history)
        tried = ", ".join(f"{a:.3g} -> {lift:.4g}" for a, lift in zip(angles, lifts, strict=True))
        return Tried(Status.UNCONVERGED, f"no angle tried gives this lift: {tried}", history=attempt.history)

    def _so_far(self, folder: Path, alpha: float) -> np.ndarray:
        try:
            return _rows(_history(folder, self._case(alpha).names))
        except Stopped:
            return np.empty((0, 0))

    def _case(self, alpha: float) -> Case:
        return Case(self.flow, self.bodies, self.reynolds, alpha)

    def _prepare(self, folder: Path, alpha: float, wake: float) -> PlaneMesh:
        try:
            mesh = self.mesh.make(self.bodies, folder, self._left(), wake)
        except TimeoutError as error:
            raise Stopped(Status.TIMEOUT, str(error)) from error
        except ValueError as error:
            raise Stopped(Status.UNCONVERGED, str(error)) from error
        _write(folder, polymesh(mesh) | self._case(alpha).first())
        return mesh

    def _settle(self, folder: Path, alpha: float, mesh: PlaneMesh) -> Tried:
        """Run until the forces have settled; goes on from the last state in `folder`, turned to `alpha`."""
        case, flow = self._case(alpha), self.flow
        shutil.rmtree(folder / "postProcessing", ignore_errors=True)
        state = folder / _latest(folder)
        (state / "U").write_text(case.turned((state / "U").read_text()))
        begun = float(state.name)
        if flow.transient:
            self._stage(folder, case, STEADY, begun + flow.start, 1.0, flow.start)
            _kick(folder, mesh, self.bodies, alpha)
            begun = 0.0
        program, step = (TRANSIENT, 1e-3) if flow.transient else (STEADY, 1.0)
        verdict, until = Steadiness(False, "nothing was run", np.empty(0), np.empty(0)), begun
        while not verdict.settled and until < begun + flow.horizon:
            until += flow.stride
            self._stage(folder, case, program, until, step, flow.stride)
            history = _history(folder, case.names)
            verdict = history.judge(flow.window, flow.tolerance, flow.transient)
            if float(_latest(folder)) < until * (1 - 1e-9):  # simpleFoam has met its residual targets
                break
        rows = _rows(history)
        if not verdict.settled:
            return Tried(Status.UNCONVERGED, verdict.reason, history=rows)
        values = coefficients(verdict) | {"alpha": alpha, "y_plus": _y_plus(folder)}
        values |= {"cells": len(mesh), "steps": len(rows)}
        return Tried(Status.CONVERGED, verdict.reason, values, rows, self._sampled(folder, mesh))

    def _sampled(self, folder: Path, mesh: PlaneMesh) -> dict[str, np.ndarray]:
        if self.grid is None:
            return {}
        last = folder / _latest(folder)
        return self.grid.sample(mesh, self.bodies, (last / "U").read_text(), (last / "p").read_text())

    def _stage(self, folder: Path, case: Case, program: str, until: float, step: float, every: float) -> None:
        _write(folder, case.run(program, until, step, every))
        finished = run([program], "", folder, self._left(), environment() | {"PWD": str(folder)})
        tail = f"its last words: ...{_words(finished.output)}"
        if finished.returncode is None:
            raise Stopped(Status.TIMEOUT, f"{program} was stopped at the time limit; {tail}")
        if finished.returncode == -signal.SIGFPE:
            raise Stopped(Status.CRASHED, f"{program} diverged; {tail}")
        if finished.returncode:
            raise Stopped(Status.CRASHED, f"{program} ended with return code {finished.returncode}; {tail}")

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Stopped(Status.TIMEOUT, "no time was left")
        return left


def _words(output: str) -> str:
    """The end of what a program printed, or from its error on; what follows an error is a trace of addresses."""
    found = output.rfind("--> FOAM FATAL")
    return output[found : found + 400] if found >= 0 else output[: output.find("\n#0 ")][-400:]


def environment() -> dict[str, str]:
    """
    This process's environment, with the folder of OpenFOAM's own settings where nothing has set it.

    Debian's programs end at once without it, even for `-help`; its `bashrc` sets it wrongly in some shells.
    """
    return ({"WM_PROJECT_DIR": str(DEBIAN)} if DEBIAN.is_dir() else {}) | os.environ


def _write(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def _times(folder: Path) -> list[str]:
    return sorted((p.name for p in folder.iterdir() if re.fullmatch(r"\d+(\.\d+)?", p.name)), key=float)


def _latest(folder: Path) -> str:
    return _times(folder)[-1]


def _history(folder: Path, names: list[str]) -> History:
    places = [folder / "postProcessing" / name for name in names]
    runs = [[place / t / name for t in _times(place) for name in FILES] if place.is_dir() else [] for place in places]
    try:
        return read_forces([[file.read_text() for file in files if file.is_file()] for files in runs])
    except ValueError as error:
        raise Stopped(Status.CRASHED, str(error)) from error


def _rows(history: History) -> np.ndarray:
    return np.column_stack([history.time, history.forces])


def _y_plus(folder: Path) -> float:
    files = sorted((folder / "postProcessing" / "yplus").glob("*/yPlus.dat"), key=lambda file: float(file.parent.name))
    return read_y_plus(files[-1].read_text()) if files else np.nan


def _slope(angles: list[float], lifts: list[float]) -> float:
    if len(angles) < 2 or angles[-1] == angles[-2]:
        return LIFT_SLOPE
    slope = (lifts[-1] - lifts[-2]) / (angles[-1] - angles[-2])
    return slope if slope > LIFT_SLOPE / 4 else LIFT_SLOPE


def _kick(folder: Path, mesh: PlaneMesh, bodies: Sequence[Body], alpha: float) -> None:
    """Make the last state in `folder` the one at time 0, with a vortex without net circulation in the wake."""
    state = folder / _latest(folder)
    ahead = np.array([np.cos(np.deg2rad(alpha)), np.sin(np.deg2rad(alpha))])
    points = np.concatenate([body.points for body in bodies])
    x, y = (mesh.centres() - points[(points @ ahead).argmax()] - 2 * KICK_SIZE * ahead).T / KICK_SIZE
    speed = KICK * np.exp((1 - x**2 - y**2) / 2)
    velocity = (state / "U").read_text()
    vectors = cell_vectors(velocity) + np.stack([-y * speed, x * speed, 0 * x], 1)
    first = {"0/U": with_vectors(velocity, vectors), "0/p": (state / "p").read_text()}
    for name in _times(folder):
        shutil.rmtree(folder / name)
    shutil.rmtree(folder / "postProcessing")
    _write(folder, first)
