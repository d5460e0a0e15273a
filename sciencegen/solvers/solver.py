"""
One contract for other people's programs: named physical parts in, a :class:`SolverResult` out.

A solver judges designs, so a failed case is an answer like any other: it carries a status, the program's own words and
NaN where a number would have been. It never raises for a case that the program could not solve and never fills in a
plausible number. A solver is any function of its own, so it is not trusted with that: :func:`guarded` runs where the
solver runs, on whatever executor, and what leaves it is a result of plain numbers, text and arrays. Whatever else the
solver raised or returned became `crashed`; :class:`sciencegen.solvers.Isolated` survives what cannot be caught.

Some failures are the machine's and not the solver's: no memory, no room on a disk, a process that somebody killed. Such
a result is `lost`: nothing is known of the case, and a campaign asks again at its next run. A solver that knows better
raises :class:`Lost`.
"""

from __future__ import annotations

import errno
import signal
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol

import numpy as np

__all__ = [
    "MACHINE", "SENT", "Lost", "Solver", "SolverResult", "Status", "array", "checked", "crashed", "guarded",
    "is_tensor",
]  # fmt: skip

PLAIN, LONGEST = "biufcSU", 1000  # numpy's kinds of numbers and text; characters of a name
SENT = {
    signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGXCPU, signal.SIGXFSZ,
    signal.SIGUSR1, signal.SIGUSR2,
}  # fmt: skip  # the signals that others send; the rest a program brings upon itself
MACHINE = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ESTALE,
}  # fmt: skip  # the errors of a machine that has run out of something


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
    documented units; a value is NaN wherever the program did not converge. `wall_s` is in seconds, measured from
    outside where the solver leaves it at 0. `log` says what happened and, after a failure, ends with the last words of
    the program. `lost` says that no answer came, for a reason that may be gone tomorrow: it is not stored.
    """

    status: Status
    values: Mapping[str, float | np.ndarray]
    fields: Mapping[str, np.ndarray] = field(default_factory=dict)
    wall_s: float = 0.0
    log: str = ""
    lost: bool = False

    def __getitem__(self, name: str) -> float | np.ndarray:
        """The value called `name`; NaN where a failed simulation left none; KeyError where a good one has none."""
        if name in self.values or self.status != Status.CONVERGED:
            return self.values.get(name, np.nan)
        raise KeyError(f"no value {name!r}; this result has {sorted(self.values)}")


class Lost(Exception):
    """Raised by a solver that says nothing of a case: no licence is free, a program was killed. It is asked again."""


class Solver(Protocol):
    """Anything called with named physical parts that returns a :class:`SolverResult`; picklable if it is to travel."""

    def __call__(self, *args: Any, **parts: Any) -> SolverResult: ...


def guarded(solver: Solver, case: Mapping[str, Any]) -> SolverResult:
    """`solver(**case)` as :func:`checked`; an exception, also one about what it returned, becomes `crashed`."""
    start = time.monotonic()
    try:
        result = checked(solver(**case))
    except KeyboardInterrupt:  # it means the campaign, not this case
        raise
    except BaseException as error:  # sys.exit too
        result = crashed(error)
    return result if result.wall_s else replace(result, wall_s=time.monotonic() - start)


def checked(result: Any) -> SolverResult:
    """
    `result` with a known status and with names and :func:`array` for values and fields.

    Raises:
        TypeError, ValueError: for anything else, in words; a converged number never hides behind a bad one.
    """
    if not isinstance(result, SolverResult):
        raise TypeError(f"a solver returns a SolverResult; got {type(result).__name__}")
    if result.status not in set(Status):
        raise ValueError(f"got the status {result.status!r}; expected one of {', '.join(Status)}")
    log = result.log if isinstance(result.log, str) else str(result.log or "")
    values, fields = _arrays(result.values, "value"), _arrays(result.fields, "field")
    return SolverResult(Status(result.status), values, fields, float(result.wall_s), log, bool(result.lost))


def crashed(error: BaseException, lost: bool | None = None) -> SolverResult:
    """The result of a case that ended in `error`: no values, the traceback in the log; lost if the machine failed."""
    if lost is None:
        lost = isinstance(error, Lost | MemoryError) or (isinstance(error, OSError) and error.errno in MACHINE)
    return SolverResult(Status.CRASHED, {}, log="".join(traceback.format_exception(error)), lost=lost)


def array(value: Any) -> np.ndarray:
    """
    Numbers or text, of any shape, as numpy has them; tensors lose their gradient, masked numbers are NaN.

    Raises:
        TypeError: for what is neither (None, objects, dates, sets). ValueError for lists of unequal length.
    """
    if is_tensor(value):
        value = value.detach().cpu()
        value = value.float() if "bfloat16" in str(value.dtype) else value
    if isinstance(value, np.ma.MaskedArray):
        value = value.astype(np.result_type(value.dtype, np.float32)).filled(np.nan)
    found = np.asarray(value)
    if found.dtype.kind not in PLAIN:
        raise TypeError(f"{type(value).__name__} of type {found.dtype}")
    return found


def is_tensor(value: Any) -> bool:
    """Whether `value` is a tensor of torch, which this package of programs does not import."""
    return all(hasattr(type(value), name) for name in ("detach", "cpu", "requires_grad"))


def _arrays(group: Mapping[str, Any], kind: str) -> dict[str, Any]:
    if not isinstance(group, Mapping):
        raise TypeError(f"got {type(group).__name__} for a result's {kind}s; expected a mapping of names")
    if odd := [name for name in group if not isinstance(name, str) or len(name) > LONGEST]:
        raise TypeError(f"got {odd[0]!r:.60} for the name of a {kind}; expected text of at most {LONGEST} characters")
    found = {}
    for name, value in group.items():
        try:
            name.encode()
            found[name] = array(value).copy()[()]  # a solver may use its arrays again
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(f"got the {kind} {name!r} ({error}); expected a solver's values and fields to be numbers, "
                            "text or arrays of them") from error
    return found
