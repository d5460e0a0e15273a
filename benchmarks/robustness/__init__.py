"""What is thrown at the package, one part a module: damaged files, hostile models, odd solvers, wrong commands.

A part is a module with two functions. `cases(seed)` yields cases, as many as there are or without end: small values
whose `str` says what they are, the same for the same seed. `judge(case)` does what a user would do with one and returns
a word of `WORDS`, after which more may follow: "differ: u is zero". It runs in a process of its own, with limits of
memory and time (10 s, or the module's `PATIENCE`), and so need not fear for itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, Protocol

__all__ = ["PARTS", "WORDS", "Part", "part"]

WORDS = {
    "refused": "an error in words", "equal": "as if nothing had happened",
    "numbers": "equal but for numbers whose own bytes were hit, which nothing in the file tells",
    "differ": "something else than was there, without a word", "traceback": "an error that is not in words",
    "hang": "no answer in time", "memory": "more than 2 GB", "dead": "the process ended",
}  # fmt: skip
PARTS = ("files", "models", "solvers", "commands")


class Part(Protocol):
    """What a module of this folder offers."""

    def cases(self, seed: int) -> Iterator[Any]:
        """Cases, the same for the same seed."""

    def judge(self, case: Any) -> str:
        """A word of `WORDS`, and what it is said for."""


def part(name: str) -> Part:
    """The module of that name; ValueError where nobody has written it yet."""
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise ValueError(f"got --parts {name}; expected one that is there; write benchmarks/robustness/{name}.py"
                         ) from None
