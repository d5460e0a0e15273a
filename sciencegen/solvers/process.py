"""
One run of a command-line program that may hang, and the end of all that it started.

A program started by another program outlives it unless the whole group is ended, so every run gets a session of its own
and the whole session ends when time is up or the caller is interrupted (POSIX only). A program that began a session of
its own is no part of that group any more; on Linux it is still known by a mark in the environment that it inherited.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sciencegen.solvers.solver import MACHINE, SENT, Lost

__all__ = ["MARK", "Finished", "run", "sweep"]

MARK = "SCIENCEGEN_CASE"  # the variable whose value all processes of a case inherit


@dataclass(frozen=True)
class Finished:
    """`returncode` is None after a timeout and minus the signal's number after a signal; `output` has both streams."""

    returncode: int | None
    output: str


def run(
    command: Sequence[str], script: str, folder: Path, limit: float, environment: Mapping[str, str] | None = None
) -> Finished:
    """
    Run `command` in `folder` with `script` on its standard input for at most `limit` seconds.

    A program that cannot be started counts as crashed: returncode 127 and the reason as output, as a shell does.

    Raises:
        Lost: another has ended it by a signal: a kernel that is out of memory, a scheduler. That says nothing of what
            the program would have answered.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        if error.errno in MACHINE:
            raise
        return Finished(127, f"cannot start {command[0]}: {error}")
    with process:
        try:
            output, _ = process.communicate(script.encode(), timeout=limit)
        except subprocess.TimeoutExpired as expired:
            output = expired.output or b""
        finally:
            code = process.returncode
            if code is None:
                os.killpg(process.pid, signal.SIGKILL)
    if code is not None and 128 < code < 160:  # how a shell script reports a signal
        code = 128 - code
    if code is not None and -code in SENT:
        raise Lost(f"{command[0]} was ended by signal {-code}, by a kernel without memory, a scheduler or a person")
    return Finished(code, output.decode(errors="replace"))


def sweep(group: int, mark: str) -> None:
    """Kill, on Linux, the user's processes that started with `mark` in their environment, then a process group."""
    for _ in range(10):  # one that is just being started is found in the next round
        found = _marked(mark.encode())
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            break
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _marked(mark: bytes) -> list[int]:
    found = []
    with suppress(OSError), os.scandir("/proc") as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.name.isdigit() and entry.stat().st_uid == os.getuid():
                    environment = Path(entry.path, "environ").read_bytes()
                    found += [int(entry.name)] if mark in environment else []
    return found
