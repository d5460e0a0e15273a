"""
A solver in a process of its own for every case, so that one which dies or hangs costs itself alone.

An exception can be caught; a segmentation fault, `os._exit` or a loop that never ends cannot. So every call forks: the
child solves the case, leaves its answer in an unnamed file and ends; the parent waits, no longer than it was told to.
Wherever an executor takes the call (a thread, a Dask worker, a SLURM job), the worker itself survives. Nothing is
pickled but the answer, so a solver may be written in a notebook's cell.

How a child ended tells whose doing it was. A signal that a program brings upon itself (SIGSEGV, SIGABRT, SIGFPE...) and
an exit without an answer are the solver's own, `crashed`. A signal that others send (SIGKILL by a kernel that is out of
memory, SIGTERM by a scheduler) or no room for the answer says nothing of the case: it is `lost`.

When a child has ended, well or not, so does all that it started. A child that is to end is asked first, so that the
programs which it started end with it, then killed; it ends by itself when its parent is gone. POSIX only. As after any
fork, the child cannot use a GPU that its parent has used, nor torch's threads: run such a solver on an executor whose
workers start afresh, which isolates nothing but the worker.

Fork from one thread at a time, and from the main one if there is a choice, as :func:`map_simulations` does: before a
fork h5py, logging and `concurrent.futures` each take a lock, and a thread that holds one and wants another (a pool that
starts a thread while garbage with HDF5 objects is collected) never gets it.
"""

from __future__ import annotations

import os
import pickle
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Thread
from typing import IO, Any, NoReturn

from sciencegen.solvers.process import MARK, sweep
from sciencegen.solvers.solver import MACHINE, SENT, Solver, SolverResult, Status, guarded

__all__ = ["Isolated"]

GRACE = 2.0  # seconds that a child has to end the programs it started
SHORTEST, LONGEST = 1e-3, 0.05  # seconds between two looks at a child
LOST = 75  # the exit status of a child that could not leave its answer (EX_TEMPFAIL)


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
        start, answer, mark = time.monotonic(), tempfile.TemporaryFile(), secrets.token_hex(8)
        try:
            parent, pid = os.getpid(), os.fork()
        except OSError:
            answer.close()
            raise
        if pid == 0:
            _work(self.solver, parts, answer, parent, mark)
        return Child(pid, answer, start, self.timeout, mark)


@dataclass
class Child:
    """A case that is being solved in the process `pid`, since `start` (monotonic seconds)."""

    pid: int
    answer: IO[bytes]
    start: float
    timeout: float | None
    mark: str  # in the environment of all that it starts
    code: int | None = field(default=None, init=False)  # the exit status, minus the signal's number if it died of one

    def poll(self) -> SolverResult | None:
        """The result, or None while it runs and has time left."""
        if self._ended():
            return self._answer()
        if self.timeout is None or time.monotonic() < self.start + self.timeout:
            return None
        self.end()
        return self._result(Status.TIMEOUT, f"stopped after {self.timeout:g} s")

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
                while not self._ended():
                    time.sleep(SHORTEST)
        self.answer.close()

    def ask(self) -> None:
        """Ask it to end, and do not wait; nothing if it has ended, for its number may be another's by now."""
        if self.code is None:
            os.kill(self.pid, signal.SIGTERM)

    def _ended(self) -> bool:
        """Whether it has ended; then what it started has as well, while its number cannot be another's yet."""
        look = getattr(os, "waitid", None)  # macOS has none before Python 3.13: there it is waited for first
        if self.code is None and look and look(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            sweep(self.pid, self.mark)
        if self.code is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if found else None
            if found and not look:
                sweep(self.pid, self.mark)
        return self.code is not None

    def _answer(self) -> SolverResult:
        with self.answer:
            self.answer.seek(0)
            left = self.answer.read()
        with suppress(Exception):  # what a solver wrote there that closed all files and opened others
            if self.code == 0:
                return pickle.loads(left)
        lost = self.code == LOST or -self.code in SENT
        return self._result(Status.CRASHED, f"the process of this case {_cause(self.code)}", lost)

    def _result(self, status: Status, log: str, lost: bool = False) -> SolverResult:
        return SolverResult(status, {}, wall_s=time.monotonic() - self.start, log=log, lost=lost)


def _work(solver: Solver, parts: Mapping[str, Any], answer: IO[bytes], parent: int, mark: str) -> NoReturn:
    """The child's life; whatever happens, it never returns into a copy of the caller's program."""
    code, me, asked = LOST, os.getpid(), []
    try:
        os.setsid()
        os.environ[MARK] = f"{os.environ.get(MARK, '')}/{mark}"
        signal.signal(signal.SIGTERM, lambda *_: (asked.append(True), sys.exit("asked to end")))
        Thread(target=_follow, args=(parent, mark), daemon=True).start()
        code = 1
        left = pickle.dumps(guarded(solver, parts))
        if not asked and os.getpid() == me:  # a solver may have forked as well, and come back twice
            answer.write(left)
            answer.flush()
        code = LOST if asked else 0
    except MemoryError:
        code = LOST
    except OSError as error:
        code = LOST if error.errno in MACHINE else code
    finally:
        if os.getppid() != parent:  # nobody else is left to do it
            sweep(me, mark)
        os._exit(LOST if asked else code)


def _follow(parent: int, mark: str) -> None:
    """End this process, and what it started, when its parent is gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    sweep(os.getpid(), mark)


def _cause(code: int) -> str:
    if code == LOST:
        return "could not leave its answer: no memory, no room on the disk, or it was asked to end"
    if code >= 0:
        return f"ended with exit status {code} and left no answer"
    with suppress(ValueError):
        return f"died of {signal.Signals(-code).name}"
    return f"died of signal {-code}"
