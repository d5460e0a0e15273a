"""What kind of file stands at a path: told by its first bytes, never by its name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import h5py

from .fault import fault, h5_fault

__all__ = ["Kind", "entries", "finished", "hdf5", "kind", "text"]

LARGEST_CHUNK = 2**30  # bytes that reading a single number may unpack
OFFSETS = (0, 512, 1024, 2048)  # where HDF5's signature may stand; MATLAB puts 512 bytes of text before it


class Kind(StrEnum):
    """What the first bytes say."""

    HDF5 = "HDF5 (or netCDF4, or MATLAB 7.3)"
    MAT5 = "a MATLAB file (level 5)"
    NETCDF3 = "netCDF3"
    ZIP = "a zip archive (.npz)"
    NPY = "a .npy array"
    PARQUET = "a Parquet table"
    VTK = "a VTK XML mesh"
    PICKLE = "a Python pickle"
    TEXT = "text"
    FOLDER = "a directory"
    EMPTY = "an empty file"
    OTHER = "a file of unknown kind"


STARTS = {b"CDF": Kind.NETCDF3, b"PK\x03\x04": Kind.ZIP, b"PK\x05\x06": Kind.ZIP, b"\x93NUMPY": Kind.NPY,
          b"PAR1": Kind.PARQUET, b"\x80": Kind.PICKLE}


def kind(path: str | os.PathLike) -> Kind:
    """The kind of ``path``; FileNotFoundError where there is nothing."""
    path = Path(path)
    if path.is_dir():
        return Kind.FOLDER
    with path.open("rb") as file:
        head = file.read(OFFSETS[-1] + 8)
    if not head:
        return Kind.EMPTY
    if any(head[i:i + 8] == b"\x89HDF\r\n\x1a\n" for i in OFFSETS):
        return Kind.HDF5
    for start, found in STARTS.items():
        if head.startswith(start):
            return found
    if head[124:128] in (b"\x00\x01IM", b"\x01\x00MI"):
        return Kind.MAT5
    if b"<VTKFile" in head[:1024]:
        return Kind.VTK
    return Kind.OTHER if b"\x00" in head else Kind.TEXT


@contextmanager
def hdf5(path: str | os.PathLike) -> Iterator[h5py.File]:
    """An open HDF5 file; ValueError says what is wrong with one that cannot be opened."""
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise h5_fault(path, error) from error
    with file:
        yield file


def entries(path: str | os.PathLike) -> Mapping[str, tuple[int, ...] | None]:
    """Shapes by the path of each dataset, None by that of each group; {} if it is not HDF5."""
    if kind(path) is not Kind.HDF5:
        return {}
    state = Path(path).stat()
    return _entries(os.path.abspath(path), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=8)
def _entries(path: str, changed: int, size: int) -> Mapping[str, tuple[int, ...] | None]:
    """Listed once for all schemas that look at a file, and again when it has changed."""
    found: dict[str, tuple[int, ...] | None] = {}
    with hdf5(path) as file:
        file.visititems(lambda name, item: found.update({name: getattr(item, "shape", None)}))
    return MappingProxyType(found)


def finished(path: str | os.PathLike, dataset: h5py.Dataset, trusted: bool) -> h5py.Dataset:
    """The dataset, where all of it was written, holds numbers, and no chunk of it unpacks to more than a gigabyte."""
    name, size, stored = dataset.name.lstrip("/"), dataset.nbytes or 0, dataset.id.get_storage_size()
    if dataset.dtype.kind not in "fiubc":
        raise fault(path, f"'{name}' of dtype {dataset.dtype}", "numbers", "convert it, or map the file without it")
    if trusted or not size or dataset.is_virtual or dataset.external:
        return dataset
    if dataset.chunks:
        total = 1
        for n, c in zip(dataset.shape, dataset.chunks):
            total *= -(-n // c)
        written, block = dataset.id.get_num_chunks(), dataset.dtype.itemsize
        for c in dataset.chunks:
            block *= c
        if written < total:
            raise fault(path, f"{written} of {total} chunks of '{name}'", "all of them: the others would read as zeros",
                        "its writer was stopped; make it again, or say trusted=True to read what was never written")
        if stored and block > max(LARGEST_CHUNK, 100 * stored / written):
            raise fault(path, f"chunks of '{name}' that unpack to {block / 2**30:.1f} GiB each", "at most 1 GiB, as a "
                        "number costs a whole chunk", "rechunk it (h5repack -l), or say trusted=True")
    elif stored < size:
        raise fault(path, f"{stored:,} of {size:,} bytes of '{name}'", "all of them: the others would read as zeros",
                    "its writer was stopped; make it again, or say trusted=True to read what was never written")
    return dataset


def text(value: object) -> str:
    """An attribute of text, whether it is stored as bytes or as characters."""
    return value.decode() if isinstance(value, bytes) else str(value)
