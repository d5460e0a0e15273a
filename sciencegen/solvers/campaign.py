"""
Many simulations at once: an ordered map over any executor of the `concurrent.futures` kind.

Simulations are independent, take minutes, and some of them fail, so a scheduler of one's own is not needed, but care
is: whatever happens to one case costs that case alone, and what is finished is stored at once. :func:`map_simulations`
runs here, each case in a process of its own, or wherever an executor takes it (submitit on a SLURM site, a Dask
cluster, a pool of threads). :class:`Judge` asks a solver about designs.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from sciencegen.solvers.isolated import Child, Isolated
from sciencegen.solvers.solver import Solver, SolverResult, Status, crashed, guarded
from sciencegen.solvers.store import Store

if TYPE_CHECKING:
    import xarray
    from torch import Tensor

__all__ = ["Executor", "Judge", "iterate_simulations", "load_simulations", "map_simulations"]

SHORTEST, LONGEST = 1e-3, 0.2  # seconds between two looks at what is running
Case = Mapping[str, Any]


class Executor(Protocol):
    """What is needed of an executor: `submit(function, *arguments)` returns an object with `done()` and `result()`."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Any: ...


def map_simulations(
    solver: Solver,
    cases: Iterable[Case],
    executor: Executor | None = None,
    out: str | os.PathLike | None = None,
    workers: int | None = None,
) -> list[SolverResult]:
    """
    Run `solver(**case)` for every case and return the results in the order of the cases.

    Without an executor, `workers` cases (as many as there are cores) run here at a time, each in a process of its own
    (:class:`Isolated`). `executor` is anything with `submit`; the caller keeps and closes it. For it, wrap a solver
    that may kill or hang its worker, or leave programs behind: `Isolated(solver, timeout=600)`. An exception in a
    worker, a worker that dies and anything returned that is no :class:`SolverResult` of plain numbers become `crashed`
    with the reason in the log.

    A solver that takes an argument `seed` is given one a case, the case's number, unless the case has one.

    `out` is a directory in which every result is stored as it comes; :func:`load_simulations` reads it, finished or
    not. A second run with the same `out` repeats no case that the solver has answered, failures included. It tries
    again what is `lost` (a worker or process that was killed, a full disk), whose program was missing, and what was
    stopped after a shorter `timeout` than :class:`Isolated` has now.

    Raises:
        ValueError: `out` holds other cases (more at the end are welcome) or results of another solver (see
            :func:`sciencegen.solvers.identity.identity` for what counts), or another run is at work in it.
        TypeError: cases or a solver of which nobody could tell whether they are the same, with `out`.
    """
    cases = list(cases)
    found = dict(iterate_simulations(solver, cases, executor, out, workers))
    return [found[number] for number in range(len(cases))]


def iterate_simulations(
    solver: Solver,
    cases: Iterable[Case],
    executor: Executor | None = None,
    out: str | os.PathLike | None = None,
    workers: int | None = None,
) -> Iterator[tuple[int, SolverResult]]:
    """
    :func:`map_simulations` as it happens: yields `(number of the case, result)`, stored ones first.

    Without an executor, `workers` cases run on while the caller keeps a result, but none is begun or out of time.
    """
    # the physics is the inner solver's: another limit of time is no reason to refuse what is stored
    inner, limit = (solver.solver, solver.timeout) if isinstance(solver, Isolated) else (solver, None)
    asked = _seeded(inner, list(cases))
    if out is None:
        yield from _run(solver, dict(enumerate(asked)), executor, workers)
        return
    store = Store.open(out, inner, asked)
    done = store.done(len(asked), limit)
    with store.writing() if len(done) < len(asked) else nullcontext(store) as store:
        done = store.done(len(asked), limit)  # again: another run may have been at work
        for number in done:
            yield number, store.load(number)[0]
        left = sorted(set(range(len(asked))).difference(done))
        for number, result in _run(solver, {number: asked[number] for number in left}, executor, workers):
            if not result.lost and result.status != Status.MISSING:
                store.save(number, asked[number], result, limit)
            yield number, result


def load_simulations(out: str | os.PathLike) -> xarray.Dataset:
    """
    What :func:`map_simulations` stored in `out` so far, over the dim `case`; ValueError if it is no such directory.

    `status` (text, "not run" for a case that is not done), `wall_s` (seconds) and `log`; every value under its own
    name, `(case,)` or `(case, point)`, NaN unless converged; fields as `field_NAME`; inputs as coordinates
    `asked_NAME`, their further axes named after them. Shorter cases are padded with NaN (text with ""), and fill the
    first entries of axes that they lack. A value whose name is taken is `value_NAME`.
    """
    from sciencegen.solvers.table import to_dataset  # xarray: a worker that only solves starts in a third of the time

    store = Store.read(out)
    return to_dataset([store.load(number) for number in range(len(store.digests))], store.solver)


@dataclass(frozen=True)
class Judge:
    """
    A solver's word on designs, as `judge=` of :func:`sciencegen.tasks.design`: `(**parts) -> (B,)`, NaN where it fails.

    `score(result)` makes one number, low is good, of a converged result. `ask(**parts)` makes a solver's case of one
    design's parts (numpy arrays in physical units); without it the parts are the case. `executor` and `out` are those
    of :func:`map_simulations`.
    """

    solver: Solver
    score: Callable[[SolverResult], float]
    ask: Callable[..., Case] = dict
    executor: Executor | None = None
    out: str | os.PathLike | None = None

    def __call__(self, **parts: Tensor) -> Tensor:
        first = next(iter(parts.values()))
        arrays = {name: part.detach().cpu().numpy() for name, part in parts.items()}
        cases = [self.ask(**{name: array[row] for name, array in arrays.items()}) for row in range(len(first))]
        results = map_simulations(self.solver, cases, self.executor, self.out)
        scores = [self.score(result) if result.status == Status.CONVERGED else np.nan for result in results]
        return first.new_tensor(np.array(scores, dtype=float).reshape(-1))


def _seeded(solver: Solver, cases: list[Case]) -> list[Case]:
    """The cases, each with a `seed` of its own where the solver takes one."""
    try:
        takes = "seed" in signature(solver).parameters
    except (TypeError, ValueError):  # a function in C
        takes = False
    return [{"seed": number} | dict(case) for number, case in enumerate(cases)] if takes else cases


def _run(
    solver: Solver, cases: Mapping[int, Case], executor: Executor | None, workers: int | None
) -> Iterator[tuple[int, SolverResult]]:
    return _locally(solver, cases, workers) if executor is None else _on(executor, solver, cases)


def _locally(solver: Solver, cases: Mapping[int, Case], workers: int | None) -> Iterator[tuple[int, SolverResult]]:
    """Processes that this thread starts and looks after: a fork while other threads hold locks can wait for ever."""
    alone = solver if isinstance(solver, Isolated) else Isolated(solver)
    waiting, running, done, pause = deque(cases.items()), {}, {}, SHORTEST
    try:
        while waiting or running or done:
            ended = _begin(alone, waiting, running, workers or os.cpu_count() or 1)
            yield from done.items()  # after the next ones have begun: the caller may take its time
            done = ended | {number: found for number, child in running.items() if (found := child.poll()) is not None}
            for number in done.keys() & running.keys():
                running.pop(number).end()
            if not done:
                time.sleep(pause)
            pause = SHORTEST if done else min(2 * pause, LONGEST)
    finally:
        for child in running.values():  # all are asked before the first is waited for
            child.ask()
        for child in running.values():
            child.end()


def _begin(
    alone: Isolated, waiting: deque[tuple[int, Case]], running: dict[int, Child], most: int
) -> dict[int, SolverResult]:
    """Start what waits, up to `most` at a time; returns what the machine refuses to start while nothing else runs."""
    while waiting and len(running) < most:
        number, case = waiting[0]
        try:
            running[number] = alone.start(case)
        except OSError as error:  # no process or file is to be had: when another has ended, perhaps
            return {} if running else {waiting.popleft()[0]: crashed(error, lost=True)}
        waiting.popleft()
    return {}


def _on(executor: Executor, solver: Solver, cases: Mapping[int, Case]) -> Iterator[tuple[int, SolverResult]]:
    futures = {number: _submit(executor, solver, case) for number, case in cases.items()}
    try:
        yield from _gather(futures)
    finally:
        for future in futures.values():  # what an abandoned run has not started
            if hasattr(future, "cancel"):
                future.cancel()


def _submit(executor: Executor, solver: Solver, case: Case) -> Any:
    try:
        # Dask takes equal calls for one, and keeps its answer; a solver that draws at random has many
        options = {"pure": False} if "pure" in signature(executor.submit).parameters else {}
        return executor.submit(guarded, solver, case, **options)
    except Exception as error:  # a broken or closed pool refuses here instead of in `result`
        refused: Future = Future()
        refused.set_exception(error)
        return refused


def _gather(futures: dict[int, Any]) -> Iterator[tuple[int, SolverResult]]:
    """Yields number and result as they end; takes from `futures` what it has yielded."""
    pause = SHORTEST
    while futures:
        done = [number for number, future in futures.items() if future.done()]
        for number in done:
            yield number, _result(futures.pop(number))
        pause = SHORTEST if done else min(2 * pause, LONGEST)
        if futures:
            time.sleep(pause)


def _result(future: Any) -> SolverResult:
    """What a worker said; `lost` where the worker or what it carried was."""
    try:
        return future.result()
    except BaseException as error:  # Dask cancels what it cannot run; sys.exit and Ctrl-C end a worker
        return crashed(error, lost=True)
