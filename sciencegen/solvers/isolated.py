"""
A solver in a process of its own for every case, so that one which dies or hangs costs itself alone.

An exception can be caught; a segmentation fault, `os._exit` or a loop that never ends cannot. So every call forks: the
child solves the case, leaves its answer in an unnamed file and ends; the parent waits, no longer than it was told to.
Wherever an executor takes the call (a thread, a Dask worker, a SLURM job), the worker itself survives. Nothing is
pickled but the answer, so a solver may be written in a notebook's cell.

A child that is to end is asked first, so that the programs which it started end with it, then killed; it ends by
itself when its parent is gone. POSIX only. As after any fork, the child cannot use a GPU that its parent has used, nor
torch's threads: run such a solver on an executor whose workers start afresh, which isolates nothing but the worker.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import IO, Any, NoReturn

from sciencegen.solvers.solver import Solver, SolverResult, Status, crashed, guarded

__all__ = ["Isolated"]

GRACE = 2.0  # seconds that a child has to end the programs it started
SHORTEST, LONGEST = 1e-3, 0.05  # seconds between two looks at a child


@dataclass(frozen=True)
class Isolated:
    """
    `solver`, each call in a process of its own that may take `timeout` seconds (None: as long as it likes).

    A process that dies gives `crashed` and says of what, one that is out of time `timeout`; every other answer is the
    solver's own. ValueError for a timeout that is not positive.
    """

    solver: Solver
    timeout: float | None = None

    def __post_init__(self) -> None:
        if self.timeout is not None and not self.timeout > 0:
            raise ValueError(f"got a timeout of {self.timeout}; expected seconds above 0, or None for no limit")

    def __call__(self, **parts: Any) -> SolverResult:
        return self.run(parts, Event())

    def run(self, parts: Mapping[str, Any], stop: Event) -> SolverResult:
        """`solver(**parts)`, given up as soon as `stop` is set."""
        start = time.monotonic()
        with tempfile.TemporaryFile() as answer:
            parent, child = os.getpid(), os.fork()
            if child == 0:
                _work(self.solver, parts, answer, parent)
            code = _wait(child, self.timeout, stop)
            answer.seek(0)
            text = answer.read()
        wall_s = time.monotonic() - start
        if code is None:
            limit = "the run was stopped" if stop.is_set() else f"stopped after {self.timeout:g} s"
            return SolverResult(Status.TIMEOUT, {}, wall_s=wall_s, log=limit)
        if code == 0:
            return pickle.loads(text)
        return SolverResult(Status.CRASHED, {}, wall_s=wall_s, log=f"the process of this case {_cause(code)}")


def _work(solver: Solver, parts: Mapping[str, Any], answer: IO[bytes], parent: int) -> NoReturn:
    """The child's life; whatever happens, it never returns into a copy of the caller's program."""
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("asked to end"))
        Thread(target=_follow, args=(parent,), daemon=True).start()
        answer.write(_answer(solver, parts))
        answer.flush()
        code = 0
    finally:
        os._exit(code)


def _answer(solver: Solver, parts: Mapping[str, Any]) -> bytes:
    try:
        return pickle.dumps(guarded(solver, parts))
    except (Exception, SystemExit) as error:  # what cannot be pickled, and a solver that calls sys.exit
        return pickle.dumps(crashed(error))


def _follow(parent: int) -> None:
    """End this process when its parent is gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os.killpg(0, signal.SIGKILL)


def _wait(child: int, timeout: float | None, stop: Event) -> int | None:
    """The child's exit status, minus the signal's number if it died of one; None if it had to be ended."""
    code = None
    try:
        code = _ended(child, time.monotonic() + (float("inf") if timeout is None else timeout), stop)
    finally:
        if code is None:
            _end(child)
        if code != 0:  # what it started may have outlived it
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child, signal.SIGKILL)
    return code


def _ended(child: int, deadline: float, stop: Event) -> int | None:
    """The exit status if the child ends before the deadline and before `stop` is set."""
    pause = SHORTEST
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        left = deadline - time.monotonic()
        if left <= 0 or stop.wait(min(pause, left)):
            return None
        pause = min(2 * pause, LONGEST)


def _end(child: int) -> None:
    """Ask the child to end, so that it can end what it started, then kill it."""
    os.kill(child, signal.SIGTERM)
    if _ended(child, time.monotonic() + GRACE, Event()) is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _cause(code: int) -> str:
    if code > 0:
        return f"ended with exit status {code} and left no answer"
    with suppress(ValueError):
        return f"died of {signal.Signals(-code).name}"
    return f"died of signal {-code}"
