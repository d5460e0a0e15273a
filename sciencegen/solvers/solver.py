"""
One contract for other people's programs: named physical parts in, a :class:`SolverResult` out.

A solver judges designs, so a failed case is an answer like any other: it carries a status, the program's own words and
NaN where a number would have been. It never raises for a case that the program could not solve and never fills in a
plausible number. A solver is any function of its own, so it is not trusted with that: :func:`guarded` turns whatever it
raises or returns into a result, and :class:`sciencegen.solvers.Isolated` survives what cannot be caught.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

import numpy as np

__all__ = ["Solver", "SolverResult", "Status", "crashed", "guarded"]


class Status(StrEnum):
    """How a simulation ended; equal to its name, so that `result.status == "converged"` reads well."""

    CONVERGED = "converged"
    UNCONVERGED = "unconverged"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    MISSING = "missing"


@dataclass(frozen=True, eq=False)
class SolverResult:
    """
    What one simulation said.

    `values` holds numbers or arrays aligned with what was asked, `fields` larger arrays by name, in the solver's
    documented units; a value is NaN wherever the program did not converge. `wall_s` is in seconds, `log` says what
    happened and, after a failure, ends with the last words of the program.
    """

    status: Status
    values: Mapping[str, float | np.ndarray]
    fields: Mapping[str, np.ndarray] = field(default_factory=dict)
    wall_s: float = 0.0
    log: str = ""

    def __getitem__(self, name: str) -> float | np.ndarray:
        """The value called `name`; NaN where a failed simulation left none; KeyError where a good one has none."""
        if name in self.values or self.status != Status.CONVERGED:
            return self.values.get(name, np.nan)
        raise KeyError(f"no value {name!r}; this result has {sorted(self.values)}")


class Solver(Protocol):
    """Anything called with named physical parts that returns a :class:`SolverResult`; picklable if it is to travel."""

    def __call__(self, *args: Any, **parts: Any) -> SolverResult: ...


def guarded(solver: Solver, case: Mapping[str, Any]) -> SolverResult:
    """`solver(**case)`; an exception, or a return value that is no :class:`SolverResult`, becomes `crashed`."""
    try:
        result = solver(**case)
    except Exception as error:
        return crashed(error)
    if isinstance(result, SolverResult):
        return result
    return crashed(TypeError(f"a solver returns a SolverResult; got {type(result).__name__} from {solver!r}"))


def crashed(error: BaseException) -> SolverResult:
    """The result of a case that ended in `error`: no values, the traceback in the log."""
    return SolverResult(Status.CRASHED, {}, log="".join(traceback.format_exception(error)))
