"""Files that are whole or not there: written under another name, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["replacing"]


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A name beside ``path`` to write to; it becomes ``path`` at the end, and is removed after a failure.

    ValueError where ``path`` is a directory.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path}: got a directory; expected the name of the file to write; name a file in it")
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        yield new
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)
