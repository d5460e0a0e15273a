"""Run directories: where a job puts what it made."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["writable"]


def writable(directory: str | os.PathLike) -> Path:
    """The directory, made if missing; PermissionError, before anything is computed, if it cannot be written to."""
    path = Path(directory)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise PermissionError(f"got --out {path} ({error.strerror}); expected a directory that can be "
                              "written to") from error
