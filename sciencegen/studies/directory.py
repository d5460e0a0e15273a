"""Run directories: where a run is written, as a whole or not at all, and never in the place of another unasked.

A run is written into a new directory beside the one that was named, which then takes its name. So nothing is half
there, whatever stops a run, and nothing of an older run, a verification of its designs say, stays beside a newer one.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["RECORD", "beside", "claim", "read_record", "writable", "written_whole"]

RECORD = "config.json"
LATER = "verif*"  # what other commands add to a finished run


def claim(out: str | os.PathLike, overwrite: bool = False) -> Path:
    """The directory ``out``, once it is known that a run may be written there; nothing is made yet.

    Raises:
        ValueError: where it holds a finished run and is not to be replaced, or files that are no run's.
        PermissionError: where it cannot be written to.
    """
    path = Path(out).absolute()
    if path.is_dir():
        _free(path, out, overwrite)
    writable(path.parent if path.is_dir() else path, out)
    return Path(out)


def writable(path: str | os.PathLike, named: str | os.PathLike | None = None) -> None:
    """PermissionError where a directory, or the nearest above it that is there, cannot be written to."""
    there = next(p for p in (Path(path).absolute(), *Path(path).absolute().parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            return
    except OSError as error:
        raise PermissionError(f"got --out {named or path} ({error.strerror.lower()}); expected a directory that can be "
                              "written to") from error


def beside(out: Path) -> Path:
    """Where what is there of an interrupted run is written."""
    return out.with_name(out.name + ".partial")


@contextmanager
def written_whole(out: Path, overwrite: bool = False) -> Iterator[Path]:
    """A directory to write to, which becomes ``out`` at the end; removed after a failure, when ``out`` is as it was.

    ValueError where a run of somebody else's came to ``out`` meanwhile; ours is then kept under another name.
    """
    path = Path(out).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent))
    new.chmod(0o777 & ~_umask())
    try:
        yield new
        try:
            if path.is_dir():
                _free(path, out, overwrite)
        except ValueError as error:
            kept = new.rename(new.with_name(new.name.strip(".").removesuffix(".new")))
            raise ValueError(f"{error}; this run is in {kept}") from error
        _swap(new, path)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def read_record(run: str | os.PathLike) -> dict[str, Any]:
    """What config.json in a run directory says; ValueError where there is none."""
    file = Path(run) / RECORD
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"got {run} without a {RECORD} that can be read; expected a directory that sciencegen wrote"
                         ) from error
    if not isinstance(found, dict):
        raise ValueError(f"got a {RECORD} in {run} that is a list; expected one that sciencegen wrote")
    return found


def _free(path: Path, out: str | os.PathLike, overwrite: bool) -> None:
    """ValueError unless a directory that is there may be replaced."""
    there = {p.name for p in path.iterdir()}
    if not there:
        return
    if not (path / RECORD).is_file():
        raise ValueError(f"got --out {out}, which holds {sorted(there)[0]} and no run; expected a new directory: name "
                         "another one")
    if not overwrite:
        raise ValueError(f"got --out {out}, which holds a finished run; expected a new directory: name another one, or "
                         "replace the run by --overwrite")
    known = read_record(path).get("files", sorted(there))
    if foreign := sorted(there - {*known, *(p.name for p in path.glob(LATER))}):
        raise ValueError(f"got --out {out} with {foreign[0]}, which no run wrote; expected nothing else beside the run "
                         "that is replaced: move it, or name another directory")


def _swap(new: Path, path: Path) -> None:
    """``new`` in the place of ``path``, which is removed."""
    if not path.exists():
        new.rename(path)
        return
    old = path.rename(Path(f"{new}.old"))
    try:
        new.rename(path)
    except BaseException:
        old.rename(path)
        raise
    shutil.rmtree(old)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
