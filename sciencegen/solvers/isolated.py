"""
A solver in a process of its own for every case, so that one which dies or hangs costs itself alone.

An exception can be caught; a segmentation fault, `os._exit` or a loop that never ends cannot. So every call forks: the
child solves the case, leaves its answer in an unnamed file and ends; the parent waits, no longer than it was told to.
Wherever an executor takes the call (a thread, a Dask worker, a SLURM job), the worker itself survives. Nothing is
pickled but the answer, so a solver may be written in a notebook's cell.

A child that is to end is asked first, so that the programs which it started end with it, then killed; it ends by
itself when its parent is gone. POSIX only. As after any fork, the child cannot use a GPU that its parent has used, nor
torch's threads: run such a solver on an executor whose workers start afresh, which isolates nothing but the worker.

Fork from one thread at a time, and from the main one if there is a choice, as :func:`map_simulations` does: before a
fork h5py, logging and `concurrent.futures` each take a lock, and a thread that holds one and wants another (a pool that
starts a thread while garbage with HDF5 objects is collected) never gets it.
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
from threading import Thread
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
        child, pause = self.start(parts), SHORTEST
        try:
            while (found := child.poll()) is None:
                time.sleep(pause)
                pause = min(2 * pause, LONGEST)
        finally:
            child.end()
        return found

    def start(self, parts: Mapping[str, Any]) -> Child:
        """`solver(**parts)` from now on; whoever starts it has to :meth:`Child.poll` until it answers, or to end it."""
        start, answer = time.monotonic(), tempfile.TemporaryFile()
        try:
            parent, pid = os.getpid(), os.fork()
        except OSError:
            answer.close()
            raise
        if pid == 0:
            _work(self.solver, parts, answer, parent)
        return Child(pid, answer, start, self.timeout)


@dataclass
class Child:
    """A case that is being solved in the process `pid`, since `start` (monotonic seconds)."""

    pid: int
    answer: IO[bytes]
    start: float
    timeout: float | None
    code: int | None = None  # the exit status once it has ended, minus the signal's number if it died of one

    def poll(self) -> SolverResult | None:
        """The result, or None while it runs and has time left."""
        if not self._ended():
            if self.timeout is None or time.monotonic() < self.start + self.timeout:
                return None
            self.end()
            return self._result(Status.TIMEOUT, f"stopped after {self.timeout:g} s")
        if self.code:
            self._sweep()
            return self._result(Status.CRASHED, f"the process of this case {_cause(self.code)}")
        with self.answer:
            self.answer.seek(0)
            return pickle.loads(self.answer.read())

    def end(self) -> None:
        """Ask it to end, so that it can end what it started, then kill it; nothing if it has ended."""
        if self.code is None:
            self.ask()
            deadline, pause = time.monotonic() + GRACE, SHORTEST
            while not self._ended() and time.monotonic() < deadline:
                time.sleep(pause)
                pause = min(2 * pause, LONGEST)
            if self.code is None:
                os.kill(self.pid, signal.SIGKILL)
                self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            self._sweep()
        self.answer.close()

    def ask(self) -> None:
        """Ask it to end, and do not wait; nothing if it has ended, for its number may be another's by now."""
        if self.code is None:
            os.kill(self.pid, signal.SIGTERM)

    def _ended(self) -> bool:
        if self.code is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if found else None
        return self.code is not None

    def _sweep(self) -> None:
        """End what it started and has outlived it."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _result(self, status: Status, log: str) -> SolverResult:
        return SolverResult(status, {}, wall_s=time.monotonic() - self.start, log=log)


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


def _cause(code: int) -> str:
    if code > 0:
        return f"ended with exit status {code} and left no answer"
    with suppress(ValueError):
        return f"died of {signal.Signals(-code).name}"
    return f"died of signal {-code}"
