"""A process of its own for what may kill, hang or fill the one that asks: opening a file of unknown making.

A library that meets a damaged file can end the process, loop for ever or ask for all memory there is, and none of that
can be caught. So the work is forked: the child has so much memory, and is ended when it has shown no progress for so
long; the parent lives, and says what happened. What comes back is pickled by our own code in the child, never by the
file. POSIX only; memory is limited where the system counts it (Linux). Fork from the main thread if there is a choice:
:mod:`sciencegen.solvers.isolated` says why.
"""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import pickle
import resource
import selectors
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from .fault import Fault
from .kind import size

__all__ = ["Died", "Exhausted", "Hung", "ChildLimits", "in_child"]

Answer = TypeVar("Answer")
Beat = Callable[..., object]
WAITING = 5  # times the seconds of work that a child may take without working


class Hung(Fault):
    """A file whose reader shows no progress."""


class Died(Fault):
    """A file that ends the process which reads it."""


class Exhausted(Fault):
    """A file whose reader asks for too much memory."""


@dataclass(frozen=True)
class ChildLimits:
    """What a child may take: ``seconds`` of work without progress, and ``memory`` in bytes beside what its parent has.

    Work is the time of the processor, so that a busy machine is no fault of a file; of waiting five times as much.
    """

    seconds: float = 5.0
    memory: int = 2 * 10**9


def in_child(path: str | os.PathLike, work: Callable[[Beat], Answer], limits: ChildLimits = ChildLimits()) -> Answer:
    """``work(beat)`` in a process of its own; it calls ``beat()`` wherever it has made progress.

    Returns what it returns and raises what it raises.

    Raises:
        Fault: about ``path``, where the process died, hung or ran out of memory.
    """
    answers, beats = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(answers)
        _child(work, beats, limits)
    os.close(beats)
    try:
        said, status = _followed(answers, pid, limits)
    finally:
        os.close(answers)
        _ended(pid)
    if status is None:
        raise Hung(f"{path}: got a file of which nothing is read in {limits.seconds:g} s of work; expected some "
                   "progress; it is damaged, or made to do so; where its disk is slow, say trusted=True if you know "
                   "its maker")
    if not said:
        raise Died(f"{path}: got a file that {_cause(status)}; expected one that can be read; it is damaged, or made "
                   "to do so: fetch or make it again")
    good, value = pickle.loads(said)
    if good:
        return value
    if isinstance(value, MemoryError):
        raise Exhausted(f"{path}: got a file that asks for more than {size(limits.memory)}; expected one that needs "
                        "less; it may be made to exhaust memory: say trusted=True if you know its maker")
    raise value


def _child(work: Callable[[Beat], Any], pipe: int, limits: ChildLimits) -> NoReturn:
    """The child's life: beats are zero bytes, the answer begins with a one."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # Linux: end with the parent
        _mute()
        _limit(limits.memory)
        answer = pickle.dumps(_tried(work, lambda *_: os.write(pipe, b"\0")))
        with os.fdopen(pipe, "wb") as file:
            file.write(b"\1" + answer)
        sys.stdout.flush()
    finally:
        os._exit(0)


def _mute() -> None:
    """Libraries in C print what they think of a damaged file; only Python's own words are to be seen."""
    faulthandler.disable()
    logging.disable(logging.CRITICAL)
    with suppress(AttributeError, OSError, ValueError):
        if sys.stderr.fileno() == 2:
            sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _tried(work: Callable[[Beat], Any], beat: Beat) -> tuple[bool, Any]:
    try:
        return True, work(beat)
    except BaseException as error:
        found = _root(error)
        try:
            pickle.loads(pickle.dumps(found))
        except Exception:
            return False, RuntimeError(f"{type(found).__name__}: {found}")
        return False, found


def _root(error: BaseException) -> BaseException:
    """The error, or the want of memory that it comes from."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return MemoryError()
        cause = cause.__cause__
    return error


def _limit(memory: int) -> None:
    """So much more than there is now; read-only maps of files do not count."""
    if not (state := Path("/proc/self/statm")).exists():
        return
    now = int(state.read_text().split()[5]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    most = now + memory if hard == resource.RLIM_INFINITY else min(now + memory, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def _followed(pipe: int, pid: int, limits: ChildLimits) -> tuple[bytes, int | None]:
    """The answer, and the exit status, which is None for a child that shows no progress."""
    said, begun, spent = bytearray(), time.monotonic(), _work(pid)
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            if not selector.select(min(0.1, limits.seconds)):
                waited, worked = time.monotonic() - begun, _work(pid) - spent
                if worked > limits.seconds or waited > WAITING * limits.seconds:
                    return b"", None
                continue
            part = os.read(pipe, 2**20)
            if not part:
                break
            begun, spent = time.monotonic(), _work(pid)
            said += part if said else part.lstrip(b"\0")
    _, status = os.waitpid(pid, 0)
    return bytes(said[1:]), os.waitstatus_to_exitcode(status)


def _work(pid: int) -> float:
    """Seconds of the processor that a process has had; 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _ended(pid: int) -> None:
    """Kill the child if it still runs, and take its status."""
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == 0:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    except ChildProcessError:
        pass


def _cause(status: int) -> str:
    if status < 0:
        return f"ends the process that reads it ({signal.Signals(-status).name})"
    return f"ends the process that reads it (exit status {status})"
