"""Time that a command takes: said beforehand, and a line a minute where there is no terminal to show bars on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

__all__ = ["spoken", "watched"]

MINUTE = 60.0
SHORT = 20.0  # seconds that need no announcement


@contextmanager
def watched(what: str, seconds: float | None = None) -> Iterator[Callable[[str], None]]:
    """A command under way; yields a function that hears how far it is.

    On standard error: about how long it takes, if anybody knows; then, without a terminal, a line a minute.
    """
    console, start, ended, last = Console(stderr=True), time.perf_counter(), threading.Event(), [""]

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    def tick() -> None:
        while not ended.wait(MINUTE):
            far = f", {last[0]}" if last[0] else ""
            say(f"{what}: {spoken(time.perf_counter() - start)} so far{far}")

    if seconds is not None and seconds > SHORT:
        say(f"{what}: takes about {spoken(seconds)} on two cores")
    clock = threading.Thread(target=tick, daemon=True)
    if not console.is_terminal:
        clock.start()
    try:
        yield lambda text: last.__setitem__(0, text)
    finally:
        ended.set()


def spoken(seconds: float) -> str:
    """In words: 40 s, 25 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
