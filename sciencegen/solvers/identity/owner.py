"""Whose code it is: the user's own, which may be edited between two runs, or a package's, which has a version."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import sys
import sysconfig
from pathlib import Path
from typing import Any

__all__ = ["fingerprint", "own", "own_object"]

PACKAGE = __name__.partition(".")[0]  # this one counts as installed, even where it is a checkout
HEAP = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class that a program made, in Python


def own(module: str | None) -> bool:
    """Whether a module is the user's: neither built in, nor of the standard library, nor in a folder of packages."""
    if not module or module in ("__main__", "__mp_main__"):
        return True
    top = module.partition(".")[0]
    return top not in sys.stdlib_module_names and top != PACKAGE and not _installed(_file(module))


def own_object(value: Any) -> bool:
    """Whether a function or class is the user's, or can only be told by looking into it.

    A lambda, a closure or a class that was made while a program ran is not what its package has under its name.
    """
    found: Any = sys.modules.get(value.__module__ or "")
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    made = not isinstance(value, type) or value.__flags__ & HEAP
    return own(value.__module__) or bool(made and found is not value)


def fingerprint(module: str) -> tuple[str, str]:
    """
    Name and version of the package that a module belongs to, ("", "") for Python's own.

    A module without a version, or a library given by its file, is known by its bytes.
    """
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top == "__main__":
        return "", ""
    version = getattr(sys.modules.get(top), "__version__", None)
    if isinstance(version, str):
        return top, str(version)
    try:
        return top, importlib.metadata.version(top)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        file = Path(module) if Path(module).is_file() else _file(module)
        return top, hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file and file.is_file() else module


def _file(module: str) -> Path | None:
    loaded = getattr(sys.modules.get(module), "__file__", None)
    if loaded is None and module not in sys.modules:
        try:
            found = importlib.util.find_spec(module)
        except (ImportError, ValueError, AttributeError):
            return None
        loaded = found.origin if found is not None and found.has_location else None
    return None if loaded is None else Path(loaded)


def _installed(file: Path | None) -> bool:
    if file is None:
        return False
    resolved, paths = file.resolve(), sysconfig.get_paths()
    places = [Path(paths[name]).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return any(map(resolved.is_relative_to, places)) or bool({"site-packages", "dist-packages"} & set(resolved.parts))
