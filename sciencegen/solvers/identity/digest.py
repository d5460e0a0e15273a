"""
Digests: short texts that two values share only if they are the same.

A campaign on disk is gone on with only by those who ask the same, so numbers, text, arrays, tensors and collections of
them are digested by value and type, bit by bit; neither the order of a mapping nor of a set counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from sciencegen.solvers.solver import array

__all__ = ["SHORT", "digest", "short"]

SHORT = 16  # characters of a digest that a person is shown


def digest(value: Any) -> str:
    """A number that two inputs share only if they are the same: mappings, lists, text, numbers, arrays, tensors, None.

    Raises:
        TypeError: for anything else, of which nobody could tell whether it is the same in another run.
    """
    found = hashlib.sha256()
    _feed(value, found.update)
    return found.hexdigest()


def short(*words: str) -> str:
    """A digest of some texts, to compare rather than to be safe from forgers."""
    return hashlib.sha256("\0".join(words).encode(errors="backslashreplace")).hexdigest()[:SHORT]


def _feed(value: Any, update: Callable[[bytes], object]) -> None:
    if isinstance(value, Mapping):
        if odd := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"got {odd[0]!r} for a name in a case; expected text")
        update(b"mapping %d" % len(value))
        for key in sorted(value):
            _feed(key, update)
            _feed(value[key], update)
    elif isinstance(value, list | tuple):
        update(b"list %d" % len(value))
        for item in value:
            _feed(item, update)
    elif value is None:
        update(b"none")
    else:
        _feed_array(value, update)


def _feed_array(value: Any, update: Callable[[bytes], object]) -> None:
    try:
        found = array(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"got {value!r} in a case; expected numbers, text, arrays, lists and mappings of them, so "
                        "that a second run can tell whether it is asked the same") from error
    update(f"array {found.dtype.str} {found.shape}".encode())
    update(np.ascontiguousarray(found).tobytes())
