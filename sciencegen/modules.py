"""What a user names as ``module:name``: found in the working directory first, then among what is installed."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["attribute"]


def attribute(path: str) -> Any:
    """What stands at ``module:name``, with dots in ``name`` perhaps.

    Raises:
        ImportError: no such module or name, or a module that fails when it is imported.
    """
    place, _, names = path.rpartition(":")
    try:
        with _here():
            found: Any = importlib.import_module(place)
    except (Exception, SystemExit) as error:  # the user's own module, of any kind
        if isinstance(error, ModuleNotFoundError) and place.startswith(str(error.name)):
            raise ImportError(f"got no module '{place}'; expected one that is installed, or {place}.py in "
                              f"{os.getcwd()}") from error
        raise ImportError(f"got {place}, which fails when it is imported ({type(error).__name__}: {error}); expected a "
                          "module that can be imported") from error
    for name in names.split("."):
        if not hasattr(found, name):
            raise ImportError(f"got {path}; expected '{name}' in {getattr(found, '__file__', None) or place}")
        found = getattr(found, name)
    return found


@contextmanager
def _here() -> Iterator[None]:
    """Have modules looked for in the current folder first, and then as before."""
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
