"""
One contract for other people's programs: named physical parts in, a :class:`SolverResult` out.

A solver judges designs, so a failed case is an answer like any other: it carries a status, the program's own words and
NaN where a number would have been. It never raises for a case that the program could not solve and never fills in a
plausible number. Simulations are independent and some of them fail, hence :func:`map_simulations`: an ordered map over
any executor of the `concurrent.futures` kind (threads, processes, submitit, Dask) in which one failing case costs
itself alone.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

import numpy as np

__all__ = ["Executor", "Solver", "SolverResult", "Status", "iterate_simulations", "map_simulations"]


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


class Executor(Protocol):
    """The one method needed of an executor: `submit(function, *arguments)` returns an object with `result()`."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Any: ...


def map_simulations(
    solver: Solver, cases: Iterable[Mapping[str, Any]], executor: Executor | None = None
) -> list[SolverResult]:
    """
    Run `solver(**case)` for every case and return the results in the order of the cases.

    `executor` is anything with `submit`; the caller keeps and closes it. None uses one process per core, started in
    Python's own default way: pass a ThreadPoolExecutor for a solver that cannot be pickled, or a ProcessPoolExecutor
    with a `spawn` context for one that uses torch's threads or a GPU. An exception in a worker, a worker that dies and
    a return value that is no :class:`SolverResult` become `crashed` with the traceback in the log. A worker that dies
    takes its local siblings down; those are run again, each in a process of its own.
    """
    return list(iterate_simulations(solver, cases, executor))


def iterate_simulations(
    solver: Solver, cases: Iterable[Mapping[str, Any]], executor: Executor | None = None
) -> Iterator[SolverResult]:
    """:func:`map_simulations` one result at a time: all cases are submitted at once, results come in their order."""
    cases = list(cases)
    if executor is None:
        yield from _iterate_locally(solver, cases)
        return
    for future in [_submit(executor, solver, case) for case in cases]:
        yield _result(future)


def _iterate_locally(solver: Solver, cases: list[Mapping[str, Any]]) -> Iterator[SolverResult]:
    pool = ProcessPoolExecutor()
    try:
        futures = [_submit(pool, solver, case) for case in cases]
        for future, case in zip(futures, cases, strict=True):
            broken = isinstance(future.exception(), BrokenExecutor)
            yield _alone(solver, case) if broken else _result(future)
    finally:
        pool.shutdown(cancel_futures=True)


def _alone(solver: Solver, case: Mapping[str, Any]) -> SolverResult:
    with ProcessPoolExecutor(max_workers=1) as pool:
        return _result(_submit(pool, solver, case))


def _submit(executor: Executor, solver: Solver, case: Mapping[str, Any]) -> Any:
    try:
        return executor.submit(_guarded, solver, case)
    except Exception as error:  # a broken or closed pool refuses here instead of in `result`
        refused: Future = Future()
        refused.set_exception(error)
        return refused


def _result(future: Any) -> SolverResult:
    try:
        return future.result()
    except Exception as error:
        return _crashed(error)


def _guarded(solver: Solver, case: Mapping[str, Any]) -> SolverResult:
    try:
        result = solver(**case)
    except Exception as error:
        return _crashed(error)
    if isinstance(result, SolverResult):
        return result
    return _crashed(TypeError(f"a solver returns a SolverResult; got {type(result).__name__} from {solver!r}"))


def _crashed(error: BaseException) -> SolverResult:
    return SolverResult(Status.CRASHED, {}, log="".join(traceback.format_exception(error)))
