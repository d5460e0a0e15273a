"""
One run at a time in a directory that hosts may share.

The lock is a file that only one process can create (`O_EXCL`, which network file systems keep too) with the name of
its holder. It is touched every ten seconds for as long as it is held, and whoever finds it looks whether its holder
lives: on the same machine by the process's number and start, which tells at once; from another machine by watching the
file for a minute, without comparing any clocks. A lock whose holder is dead is taken over.

What is promised: two runs never hold one directory at the same time, with one exception. A holder that stood still for
over a minute (a frozen machine, a network that was gone) may be taken for dead from another machine; it notices before
it writes the next result, and stops.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread

__all__ = ["Lock", "locked"]

NAME = ".lock"
BEAT, PATIENCE = 10.0, 60.0  # seconds between two touches, and without one until a holder elsewhere counts as dead
LOOK = 0.2  # seconds between two looks at a holder elsewhere


@dataclass(frozen=True)
class Lock:
    """A holder of `path`: the process `pid` of `host`, `place` its kernel and namespace, `born` its start there."""

    path: Path
    host: str
    pid: int
    place: str
    born: str
    token: str

    @classmethod
    def mine(cls, path: Path) -> Lock:
        """A lock of this process, with a token that no other lock has."""
        return cls(path, socket.gethostname(), os.getpid(), _place(), _born(os.getpid()), secrets.token_hex(8))

    @classmethod
    def found(cls, path: Path) -> Lock:
        """The lock that is there; FileNotFoundError if there is none; an unfinished one has an empty host."""
        try:
            return cls(path, **json.loads(path.read_text()))
        except (ValueError, TypeError):
            return cls(path, "", 0, "", "", "")

    def held(self) -> bool:
        """Whether the file still says that this lock holds."""
        try:
            return Lock.found(self.path).token == self.token
        except FileNotFoundError:
            return False

    def create(self) -> bool:
        """Write the file; False if there is one."""
        about = {name: value for name, value in asdict(self).items() if name != "path"}
        try:
            with self.path.open("x") as file:
                file.write(json.dumps(about))
        except FileExistsError:
            return False
        return True

    def alive(self, patience: float) -> bool:
        """Whether its holder lives, or let go of it; from another machine this takes up to `patience` seconds."""
        if self.host and (self.place, self.host) == (_place(), socket.gethostname()):
            return _born(self.pid) == self.born
        first, end = _touched(self.path), time.monotonic() + patience
        while time.monotonic() < end:
            if _touched(self.path) != first:
                return True
            time.sleep(min(LOOK, patience / 10))
        return False

    def remove(self) -> None:
        """Take this lock, and no other, out of the way: of two that try, one succeeds."""
        aside = self.path.with_name(f"{NAME}.{secrets.token_hex(8)}")
        with suppress(FileNotFoundError):
            os.rename(self.path, aside)
            if Lock.found(aside).token != self.token:  # another has taken it over meanwhile: put it back
                with suppress(OSError):
                    os.link(aside, self.path)
            aside.unlink()


@contextmanager
def locked(folder: Path, beat: float = BEAT, patience: float = PATIENCE) -> Iterator[Lock]:
    """
    Hold `folder`, made if need be; what is yielded knows whether it still does (:meth:`Lock.held`).

    Raises:
        ValueError: another run holds it, and on which host by which process; or nothing can be written there.
    """
    lock, done = Lock.mine(folder / NAME), Event()
    while not _made(lock):
        with suppress(FileNotFoundError):  # it was let go of meanwhile
            other = Lock.found(lock.path)
            if not other.alive(patience):
                other.remove()
            elif Lock.found(lock.path) == other and other.host:
                itself = ", this one: an iterate_simulations that was not closed" if other.pid == lock.pid else ""
                raise ValueError(
                    f"got out={folder}, in use by process {other.pid} on {other.host}{itself}; expected one run at a "
                    "time; wait for it or end it, or use another directory")
    thread = Thread(target=_touch, args=(lock, done, beat), daemon=True)
    thread.start()
    try:
        yield lock
    finally:
        done.set()
        if os.getpid() == lock.pid:  # not in a fork of it that ends
            lock.remove()


def _made(lock: Lock) -> bool:
    try:
        lock.path.parent.mkdir(parents=True, exist_ok=True)
        return lock.create()
    except OSError as error:
        raise ValueError(f"got out={lock.path.parent} ({error.strerror}); expected a directory to write to") from error


def _touch(lock: Lock, done: Event, beat: float) -> None:
    while not done.wait(beat):
        with suppress(OSError):
            if lock.held():
                os.utime(lock.path)


def _touched(path: Path) -> tuple[int, ...]:
    """What changes with every touch; opened, because a network file system asks its server then."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
    except FileNotFoundError:
        return ()
    return found.st_ino, found.st_mtime_ns


def _place() -> str:
    """The kernel's start and the space of process numbers, within which a number means one process."""
    parts = []
    for read in (lambda: Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
                 lambda: os.readlink("/proc/self/ns/pid")):
        with suppress(OSError):
            parts.append(read())
    return " ".join(parts)


def _born(pid: int) -> str:
    """When a process of this machine started, in the kernel's ticks; "" if there is none, or a zombie."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state in "ZX" else rest[18]
    except OSError:
        if Path("/proc/self").exists():
            return ""
    with suppress(ProcessLookupError, PermissionError):  # no /proc: a number that is in use has to do
        os.kill(pid, 0)
        return "running"
    return ""
