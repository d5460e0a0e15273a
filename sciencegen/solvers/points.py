"""
Operating points of bodies in a stream, and what was found at each, as one :class:`SolverResult`.

Shared by the flow solvers, so that they take the same requests and name and shape their answers alike.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sciencegen.solvers.history import Steadiness
from sciencegen.solvers.solver import SolverResult, Status

__all__ = ["VALUES", "Tried", "Request", "coefficients", "collect", "requests"]

# the values by name, and whether each body has its own
VALUES = {"alpha": False, "cl": True, "cd": True, "cm": True, "cl_amplitude": True}
VALUES |= {"strouhal": False, "y_plus": False, "cells": False, "steps": False}
WORST = (Status.MISSING, Status.TIMEOUT, Status.CRASHED, Status.UNCONVERGED)


@dataclass(frozen=True)
class Request:
    """What is asked of one point: `kind` is "alpha" (degrees) or "cl"."""

    reynolds: float
    kind: str
    target: float

    def __str__(self) -> str:
        return f"{self.kind} {self.target:g} at Re {self.reynolds:g}"


@dataclass(frozen=True, eq=False)
class Tried:
    """What one point gave: `values` and `fields` are empty unless it converged; `history` (n, 1 + 3 bodies)."""

    status: Status
    log: str
    values: Mapping[str, Any] = field(default_factory=dict)
    history: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    fields: Mapping[str, np.ndarray] = field(default_factory=dict)


def requests(reynolds: ArrayLike, alpha: ArrayLike | None, cl: ArrayLike | None) -> list[Request]:
    """One request for each angle (k,) in degrees or each lift (k,), `reynolds` () or (k,); ValueError for others."""
    if (alpha is None) == (cl is None):
        raise ValueError(f"give either alpha or cl; got alpha={alpha!r} and cl={cl!r}")
    kind, targets = ("alpha", alpha) if cl is None else ("cl", cl)
    speeds, targets = np.broadcast_arrays(np.atleast_1d(reynolds).astype(float), np.asarray(targets, dtype=float))
    if targets.ndim != 1 or not (np.isfinite(targets) & np.isfinite(speeds) & (speeds > 0)).all():
        raise ValueError(f"{kind} and reynolds must be finite, () or (k,), reynolds > 0; got {targets}, {speeds}")
    return [Request(speed, kind, target) for speed, target in zip(speeds.tolist(), targets.tolist(), strict=True)]


def collect(
    attempts: Sequence[Tried], asked: Sequence[Request], several: bool, count: int, start: float
) -> SolverResult:
    """Values (k,), or (k, count) for `several` bodies where each has its own; `start` is on the monotonic clock."""
    blank = {name: np.full(count if each else (), np.nan) for name, each in VALUES.items()}
    rows = [{**blank, **attempt.values} for attempt in attempts]
    values = {name: np.array([row[name] for row in rows]).reshape(len(rows), *blank[name].shape) for name in VALUES}
    if not several:
        values = {name: value.reshape(len(rows)) for name, value in values.items()}
    longest = max(len(attempt.history) for attempt in attempts) if attempts else 0
    history = np.full((len(attempts), longest, 1 + 3 * count), np.nan)
    for row, attempt in zip(history, attempts, strict=True):
        row[: len(attempt.history)] = attempt.history if len(attempt.history) else 0.0
    found = {attempt.status for attempt in attempts}
    status = next((status for status in WORST if status in found), Status.CONVERGED)
    told = [f"{request}: {attempt.status}, {attempt.log}" for request, attempt in zip(asked, attempts, strict=True)]
    return SolverResult(status, values, {"history": history}, time.monotonic() - start, "\n".join(told))


def coefficients(verdict: Steadiness) -> dict[str, Any]:
    """The forces of a settled history by name, each (bodies,)."""
    drag, lift, moment = verdict.mean.reshape(-1, 3).T
    swing = verdict.spread.reshape(-1, 3)[:, 1]
    return {"cd": drag, "cl": lift, "cm": moment, "cl_amplitude": swing, "strouhal": verdict.frequency}
