"""The door for HDF5, and for netCDF4 and MATLAB 7.3, which are HDF5 inside."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import h5py

from .fault import fault, guarded
from .kind import Kind, affordable, kind, regular
from .survey import Entry, Survey, survey

__all__ = ["checked", "entries", "hdf5", "whole"]


@contextmanager
def hdf5(path: str | os.PathLike, trusted: bool = False) -> Iterator[h5py.File]:
    """An open HDF5 file that names no other file, unless it is ``trusted``.

    Whatever is raised inside of the block by damage comes out as a :class:`sciencegen.files.Fault`. That a data set was
    written, and all of it, is for :func:`checked` to say, which whoever reads one asks.
    """
    with guarded(path, "an HDF5 file"):
        _surveyed(path, trusted)
        with h5py.File(path, "r") as file:
            yield file


def entries(path: str | os.PathLike, trusted: bool = False) -> Mapping[str, Entry]:
    """All objects of the file by their paths; {} if it is not HDF5, Fault where it names other files."""
    if kind(path) is not Kind.HDF5:
        return {}
    with guarded(path, "an HDF5 file"):
        return _surveyed(path, trusted)


def checked(path: str | os.PathLike, name: str, trusted: bool = False) -> Entry:
    """The entry of a data set of numbers that can be read; Fault says why one cannot be."""
    found = entries(path, trusted).get(name)
    if found is None or found.shape is None:
        raise fault(path, f"no data set '{name}'", "one of that name", "make the file again")
    if found.odd and not (found.dtype is not None and found.dtype.kind == "c"):
        dtype = f" of dtype {found.dtype}" if found.dtype is not None else ""
        raise fault(path, f"'{name}'{dtype}, {found.odd}", "numbers", "convert it, or map the file without it")
    if found.flaw is not None and not trusted:
        flaw = found.flaw
        raise fault(path, flaw.got.format(name=f"'{name}'"), flaw.expected, flaw.advice)
    return found


def whole(path: str | os.PathLike, trusted: bool = False) -> None:
    """Fault unless all data sets of the file can be read, and together fit in memory: for what is read at once."""
    total = 0
    for name, entry in entries(path, trusted).items():
        if entry.dtype is not None and entry.dtype.kind in "fiubc" and not entry.bare:
            total += checked(path, name, trusted).nbytes
    affordable(path, "numbers", total)


def _surveyed(path: str | os.PathLike, trusted: bool) -> Mapping[str, Entry]:
    state = regular(path).stat()
    found = _listed(os.path.abspath(path), trusted, state.st_mtime_ns, state.st_size)
    if found.strangers and not trusted:
        more = f" and {len(found.strangers) - 1} more" if len(found.strangers) > 1 else ""
        raise fault(path, f"{found.strangers[0]}{more}", "a file that holds all of its data: to read this one reads "
                    "other files, and zeros where they are missing", "say trusted=True if you know its maker, or copy "
                    "the data into one file (h5repack, or h5py)")
    return found.entries


@lru_cache(maxsize=8)
def _listed(path: str, trusted: bool, changed: int, size: int) -> Survey:
    """Listed once for all that look at a file, and again when it has changed."""
    if Path(path).is_dir():
        raise fault(path, "a directory", "an HDF5 file", "name a file in it")
    with h5py.File(path, "r") as file:
        if not trusted and size > (end := _end(path, file.userblock_size)):
            raise fault(path, f"{size - end:,} bytes behind the end of an HDF5 file",
                        f"{end:,} bytes, as its header says", "bytes were inserted or added: fetch or make it again")
        return survey(path, file, trusted)


def _end(path: str, start: int) -> int:
    """Where the file ends by its superblock, which stands at ``start``."""
    with open(path, "rb") as file:
        file.seek(start)
        head = file.read(100)
    version = head[8]
    width, place = (head[13], 24 + 4 * (version == 1)) if version < 2 else (head[9], 12)
    return int.from_bytes(head[place + 2 * width:place + 3 * width], "little")
