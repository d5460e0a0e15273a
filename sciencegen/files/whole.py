"""Files that are whole or not there: written under another name, then renamed."""

from __future__ import annotations

import os
import secrets
import socket
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
    drawn = secrets.token_hex(4)  # a directory that hosts share may have two processes of one number
    new = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.{drawn}.new")
    try:
        yield new
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)
