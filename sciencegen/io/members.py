"""The arrays in .mat, .npz and .npy files: names, shapes and dtypes now, values when they are asked for."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
from numpy.lib import format as npy_format

from .content import hdf5
from .fault import fault
from .leaf import Files, Handle, Leaf, Picked, Whole
from .schema import pick

__all__ = ["mat5", "mat73", "npy", "npz"]

BOMB = 2**30, 100  # bytes that may come out whatever went in, and by how much data may unpack beyond that
HEADERS: dict[tuple[int, int], Callable[[Any], Any]] = {
    (1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
# the classes of MATLAB whose values are numbers
NUMBERS = {"double": "f8", "single": "f4", "logical": "u1",
           **{f"{u}int{8 * n}": f"{u[:1] or 'i'}{n}" for u in ("", "u") for n in (1, 2, 4, 8)}}


class Member(Whole):
    """An array in a .npz archive."""

    def __init__(self, path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype, trusted: bool) -> None:
        self.path, self.name, self.shape, self.dtype, self.trusted = path, name, shape, dtype, trusted

    def load(self) -> np.ndarray:
        try:
            with np.load(self.path, allow_pickle=self.trusted) as archive:
                return np.ascontiguousarray(archive[self.name])
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise fault(self.path, f"'{self.name}' that cannot be unpacked ({error})", f"an array {self.shape}",
                        "the file is damaged: fetch or make it again") from error


class Matrix(Whole):
    """A variable of a MATLAB file of level 5."""

    def __init__(self, path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.path, self.name, self.shape, self.dtype = path, name, shape, np.dtype(dtype)

    def load(self) -> np.ndarray:
        try:
            found = scipy.io.loadmat(self.path, variable_names=[self.name])[self.name]
        except Exception as error:  # scipy raises zlib's, struct's and its own kinds on damaged data
            raise fault(self.path, f"'{self.name}' that cannot be read ({error})", f"an array {self.shape}",
                        "the file is damaged: fetch or make it again") from error
        if np.iscomplexobj(found):
            raise fault(self.path, f"'{self.name}' of complex numbers", "real ones", "save its parts apart")
        return np.ascontiguousarray(found, self.dtype)


def _measured(path: Path, name: str, size: int, stored: int, trusted: bool) -> None:
    limit, ratio = BOMB
    if not trusted and size > max(limit, ratio * stored):
        raise fault(path, f"'{name}' that unpacks from {stored:,} to {size:,} bytes", f"at most {ratio} times as much",
                    "it may be made to exhaust memory: say trusted=True if you know its maker")


def npz(path: Path, trusted: bool) -> dict[str, Leaf]:
    """The arrays of an archive; pickled ones only where the caller trusts them."""
    found: dict[str, Leaf] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.filename.endswith(".npy"):
                    continue
                name = info.filename.removesuffix(".npy")
                with archive.open(info) as file:
                    shape, _, dtype = _header(path, name, file)
                if dtype.hasobject:
                    found |= _objects(path, name, trusted)
                    continue
                size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
                if not size <= info.file_size <= size + 2**16:
                    raise fault(path, f"'{name}' of {info.file_size:,} bytes", f"{size:,}, as its header says",
                                "the file is damaged: fetch or make it again")
                _measured(path, name, size, info.compress_size, trusted)
                found[name] = Member(path, name, shape, dtype, trusted)
    except (zipfile.BadZipFile, EOFError) as error:
        raise fault(path, f"a zip archive that cannot be read ({error})", "an .npz",
                    "the copy was cut short or damaged: fetch it again") from error
    if not found:
        raise fault(path, "a zip archive without arrays", "an .npz", "is it another program's archive? unpack it first")
    return found


def _header(path: Path, name: str, file: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    try:
        version = npy_format.read_magic(file)
        return HEADERS[version](file)
    except (ValueError, KeyError, EOFError) as error:
        raise fault(path, f"'{name}' whose header cannot be read ({error})", "a .npy array",
                    "the file is damaged: fetch or make it again") from error


class Piece(Member):
    """One of the arrays that an array of objects holds, as DeepONet's ``X`` holds its branch and its trunk."""

    def load(self) -> np.ndarray:
        name, index = self.name.rsplit("/", 1)
        with np.load(self.path, allow_pickle=True) as archive:
            return np.ascontiguousarray(archive[name][int(index)], self.dtype)


def _objects(path: Path, name: str, trusted: bool) -> dict[str, Leaf]:
    if not trusted:
        raise fault(path, f"'{name}', an array of pickled Python objects", "numbers, as unpickling runs whatever code "
                    "is in the file", "say trusted=True if you know its maker")
    with np.load(path, allow_pickle=True) as archive:
        pieces = [np.asarray(piece) for piece in archive[name].ravel()]
    return {f"{name}/{i}": Piece(path, f"{name}/{i}", p.shape, p.dtype, True) for i, p in enumerate(pieces)}


def npy(path: Path, trusted: bool) -> dict[str, Leaf]:
    """The one array of a .npy file, called ``data``."""
    with path.open("rb") as file:
        shape, _, dtype = _header(path, "data", file)
        size, there = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize, path.stat().st_size - file.tell()
    if dtype.hasobject:
        raise fault(path, "an array of pickled Python objects", "numbers", "convert it to plain arrays first")
    if there < size:
        raise fault(path, f"{there:,} bytes of data", f"{size:,}, as its header says",
                    "the copy was cut short: fetch it again")
    files = Files(path.parent, path.name.replace("{", "{{").replace("}", "}}"), [0], None, shape, dtype)
    return {"data": Picked(files, (0, *(slice(None) for _ in shape)))}


def mat5(path: Path, trusted: bool) -> dict[str, Leaf]:
    """The numeric variables of a MATLAB file of level 5."""
    try:
        listed = scipy.io.whosmat(path)
    except Exception as error:  # scipy raises zlib's, struct's and its own kinds on damaged data
        raise fault(path, f"a MATLAB file that cannot be read ({error})", "a whole one",
                    "the copy was cut short or damaged: fetch it again") from error
    found = {}
    for name, shape, kind in listed:
        if kind not in NUMBERS:
            continue
        dtype = np.dtype(NUMBERS[kind])
        _measured(path, name, int(np.prod(shape, dtype=np.int64)) * dtype.itemsize, path.stat().st_size, trusted)
        found[name] = Matrix(path, name, shape, dtype)
    if not found:
        raise fault(path, f"variables {[(name, kind) for name, _, kind in listed]}", "at least one numeric array",
                    "save plain arrays in MATLAB; structures and cells are not read")
    return found


def mat73(path: Path, trusted: bool) -> dict[str, Leaf]:
    """The numeric variables of a MATLAB 7.3 file, their axes turned round to the order that MATLAB shows."""
    handle = Handle(path)
    with hdf5(path) as file:
        plain = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)
                 and not name.startswith("#") and item.dtype.kind in "fiub"}
        found = {}
        for name, item in plain.items():
            stored = pick(path, item, trusted, handle)
            found[name] = Picked(stored, (slice(None),) * item.ndim, range(item.ndim)[::-1])
    if not found:
        raise fault(path, "no numeric array", "at least one", "save plain arrays in MATLAB; structures are not read")
    return found
