"""
One run of a command-line program that may hang.

A program started by another program outlives it unless the whole group is ended, so every run gets a session of its own
and the whole session ends when time is up or the caller is interrupted (POSIX only).
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Finished", "run"]


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
    if code is not None and code > 128:  # how a shell script reports a signal
        code = 128 - code
    return Finished(code, output.decode(errors="replace"))
