"""Solvers that do what a solver should not: each is asked for one case of fifty, and may cost only that."""

from __future__ import annotations

import atexit
import ctypes
import decimal
import faulthandler
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from sciencegen.solvers import SolverResult, Status

__all__ = ["ODD", "SLEEP"]

SLEEP = "98765"  # seconds that a program sleeps which a case leaves behind, to be known by


def answer(y: Any = 1.0, **others: Any) -> SolverResult:
    """A good result with a strange value in it."""
    return SolverResult(Status.CONVERGED, {"y": y, **others})


class Broken(Mapping):
    """A mapping that cannot be read."""

    def __getitem__(self, name: str) -> float:
        raise RuntimeError("no")

    def __iter__(self) -> Any:
        return iter(["y"])

    def __len__(self) -> int:
        return 1


class Mute(Exception):
    """An exception that cannot be told."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Alien(BaseException):
    """An exception that `except Exception` lets pass."""


def throw(error: BaseException) -> None:
    """Raise it, in an expression."""
    raise error


def me(number: int) -> SolverResult:
    """Send this process a signal."""
    faulthandler.disable()
    os.kill(os.getpid(), number)
    return answer()


def hang(*_: Any) -> None:
    """Never return, by a way that no signal's handler ends."""
    while True:
        time.sleep(1)


def leave(session: bool) -> SolverResult:
    """A program that outlives its case."""
    subprocess.Popen(["sleep", SLEEP], start_new_session=session)
    return answer()


def daemon() -> SolverResult:
    """A program of a program, in a session of its own, whose parent has ended."""
    subprocess.run(["sh", "-c", f"setsid sleep {SLEEP} >/dev/null 2>&1 &"], check=True)
    return answer()


def deep(n: int = 0) -> SolverResult:
    """More calls than a stack holds."""
    return deep(n + 1)


def limited() -> SolverResult:
    """No file may grow."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    return answer(np.ones(9))


def homeless() -> SolverResult:
    """The working directory is gone."""
    os.makedirs(f"/tmp/gone{os.getpid()}")
    os.chdir(f"/tmp/gone{os.getpid()}")
    os.rmdir(f"/tmp/gone{os.getpid()}")
    return answer()


ODD: dict[str, Callable[[], Any]] = {
    "ragged list": lambda: answer([[1.0], [1.0, 2.0]]), "None": lambda: answer(None), "returns None": lambda: None,
    "returns a number": lambda: 1.0, "object": lambda: answer(object()), "function": lambda: answer(lambda: 1),
    "generator": lambda: answer(x for x in [1]), "set": lambda: answer({1.0}), "mapping": lambda: answer({"a": 1.0}),
    "text": lambda: answer("high"), "text of two lines": lambda: answer("a\0b\nc"), "bytes": lambda: answer(b"abc"),
    "date": lambda: answer(np.datetime64("2026-01-01")), "decimal": lambda: answer(decimal.Decimal(1)),
    "large integer": lambda: answer(10**400), "complex": lambda: answer(1j), "truth": lambda: answer(True),
    "masked": lambda: answer(np.ma.masked_array([1.0], [True])), "matrix": lambda: answer(np.eye(2)),
    "record": lambda: answer(np.zeros(2, [("a", float)])), "objects": lambda: answer(np.array([None, 1])),
    "empty": lambda: answer(np.zeros((0, 3))), "cube": lambda: answer(np.zeros((2, 3, 4))),
    "not a number": lambda: answer(float("nan")), "infinity": lambda: answer(float("inf")),
    "tensor with gradient": lambda: answer(torch.ones(2, requires_grad=True)),
    "tensors with gradients": lambda: answer([torch.ones(1, requires_grad=True)]),
    "tensor without numbers": lambda: answer(torch.ones(2, device="meta")),
    "more than memory": lambda: answer(np.broadcast_to(1.0, 10**13)), "no memory": lambda: answer(np.empty(10**15)),
    "value called case": lambda: answer(case=2.0), "value called point": lambda: answer(point=[1.0, 2.0]),
    "value called status": lambda: answer(status=1.0), "value called log": lambda: answer(log="x"),
    "number as name": lambda: SolverResult(Status.CONVERGED, {1: 1.0}),
    "name of no text": lambda: SolverResult(Status.CONVERGED, {"\udc80": 1.0}),
    "name of a path": lambda: answer(**{"../../etc/x": 1.0, "": 2.0, "/": 3.0}),
    "long name": lambda: answer(**{"n" * 70000: 1}),
    "values in a list": lambda: SolverResult(Status.CONVERGED, [1.0]),
    "values that break": lambda: SolverResult(Status.CONVERGED, Broken()),
    "no status": lambda: SolverResult(None, {}), "own status": lambda: SolverResult("fine", {}),
    "no time": lambda: SolverResult(Status.CONVERGED, {"y": 1.0}, {}, None),
    "log of bytes": lambda: SolverResult(Status.CONVERGED, {"y": 1.0}, {}, 1.0, b"\xff"),
    "exception": lambda: 1 / 0, "mute exception": lambda: throw(Mute()), "alien exception": lambda: throw(Alien()),
    "interrupt": lambda: throw(KeyboardInterrupt()), "system exit": lambda: sys.exit(0),
    "generator exit": lambda: throw(GeneratorExit()),
    "recursion": deep, "exit 0": lambda: os._exit(0), "exit 1": lambda: os._exit(1), "exit 75": lambda: os._exit(75),
    "segmentation fault": lambda: (faulthandler.disable(), ctypes.string_at(0)), "abort": lambda: me(signal.SIGABRT),
    "killed": lambda: me(signal.SIGKILL), "terminated": lambda: me(signal.SIGTERM),
    "stopped": lambda: me(signal.SIGSTOP),
    "alarm": lambda: (signal.setitimer(signal.ITIMER_REAL, 0.1), hang()), "loop": lambda: [0 for _ in iter(int, 1)],
    "deaf": lambda: (signal.signal(signal.SIGTERM, signal.SIG_IGN), hang()), "sleep": lambda: time.sleep(600),
    "program left": lambda: leave(False), "session left": lambda: leave(True), "daemon left": daemon,
    "thread left": lambda: (threading.Thread(target=hang).start(), answer())[1],
    "hook left": lambda: (atexit.register(hang), answer())[1],
    "fork": lambda: (os.fork(), answer())[1], "closed files": lambda: (os.closerange(0, 100), answer())[1],
    "no room": limited, "no directory": homeless, "no standard output": lambda: (sys.stdout.close(), answer())[1],
    "much output": lambda: (os.write(1, b"x" * 10**6), answer())[1],
}  # fmt: skip
