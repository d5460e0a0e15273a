"""The arrays in .mat, .npz and .npy files: names, shapes and dtypes now, values when they are asked for."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from numpy.lib import format as npy_format

from ..files import affordable, fault, guarded, regular
from .leaf import Files, Leaf, Picked, WholeLeaf
from .source import complex_fault, source, text

__all__ = ["Members", "mat5", "mat73", "npy", "npz"]

Members = tuple[dict[str, Leaf], dict[str, str]]  # arrays, and what is not read and why

BOMB = 2**30, 100  # bytes that may come out whatever went in, and by how much data may unpack beyond that
HEADERS: dict[tuple[int, int], Callable[[Any], Any]] = {
    (1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
# the classes of MATLAB whose values are numbers
NUMBERS = {"double": "f8", "single": "f4", "logical": "u1",
           **{f"{u}int{8 * n}": f"{u[:1] or 'i'}{n}" for u in ("", "u") for n in (1, 2, 4, 8)}}


class Member(WholeLeaf):
    """An array in a .npz archive."""

    def __init__(self, path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype, trusted: bool) -> None:
        self.path, self.name, self.shape, self.dtype, self.trusted = path, name, shape, dtype, trusted

    def load(self) -> np.ndarray:
        affordable(self.path, f"'{self.name}'", math.prod(self.shape) * self.dtype.itemsize)
        with guarded(self.path, f"'{self.name}'"):
            with np.load(self.path, allow_pickle=self.trusted) as archive:
                return np.ascontiguousarray(archive[self.name]).reshape(self.shape)


class Matrix(WholeLeaf):
    """A variable of a MATLAB file of level 5."""

    def __init__(self, path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.path, self.name, self.shape, self.dtype = path, name, shape, np.dtype(dtype)

    def load(self) -> np.ndarray:
        affordable(self.path, f"'{self.name}'", math.prod(self.shape) * self.dtype.itemsize)
        with guarded(self.path, f"'{self.name}'"):
            found = scipy.io.loadmat(self.path, variable_names=[self.name])[self.name]
            if np.iscomplexobj(found):
                raise complex_fault(self.path, self.name)
            return np.ascontiguousarray(found, self.dtype).reshape(self.shape)


def _measured(path: Path, name: str, size: int, stored: int, trusted: bool) -> None:
    limit, ratio = BOMB
    if not trusted and size > max(limit, ratio * stored):
        raise fault(path, f"'{name}' that unpacks from {stored:,} to {size:,} bytes", f"at most {ratio} times as much",
                    "it may be made to exhaust memory: say trusted=True if you know its maker")


def npz(path: Path, trusted: bool) -> Members:
    """The arrays of an archive; pickled ones only where the caller trusts them."""
    found, skipped = {}, {}
    with guarded(path, "a zip archive"):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.filename.endswith(".npy"):
                    continue
                name = info.filename.removesuffix(".npy")
                if name in found or name in skipped:
                    raise fault(path, f"'{name}' twice", "every array once", "make the archive again")
                with archive.open(info) as file:
                    shape, _, dtype = _header(path, name, file)
                if dtype.kind not in "fiubO":
                    skipped[name] = _reason(dtype)
                    continue
                if dtype.hasobject:
                    found |= _objects(path, name, trusted)
                    continue
                size = math.prod(shape) * dtype.itemsize
                if not size <= info.file_size <= size + 2**16:
                    raise fault(path, f"'{name}' of {info.file_size:,} bytes", f"{size:,}, as its header says",
                                "the file is damaged: fetch or make it again")
                _measured(path, name, size, info.compress_size, trusted)
                found[name] = Member(path, name, shape, dtype, trusted)
    if not found:
        raise fault(path, f"a zip archive without arrays of numbers{_shown(skipped)}", "an .npz",
                    "is it another program's archive? unpack it first")
    return found, skipped


def _reason(dtype: np.dtype) -> str:
    return "complex numbers" if dtype.kind == "c" else f"{dtype}, no numbers"


def _shown(skipped: Mapping[str, str]) -> str:
    return f" ({', '.join(f'{name}: {why}' for name, why in list(skipped.items())[:5])})" if skipped else ""


def _header(path: Path, name: str, file: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    with guarded(path, f"the header of '{name}'"):
        shape, order, dtype = HEADERS[npy_format.read_magic(file)](file)
        if any(n < 0 for n in shape):
            raise fault(path, f"'{name}' of shape {shape}", "sizes", "the file is damaged: fetch or make it again")
        return shape, order, dtype


class Piece(Member):
    """One of the arrays that an array of objects holds, as DeepONet's ``X`` holds its branch and its trunk."""

    def load(self) -> np.ndarray:
        name, index = self.name.rsplit("/", 1)
        with guarded(self.path, f"'{self.name}'"), np.load(self.path, allow_pickle=True) as archive:
            return np.ascontiguousarray(archive[name][int(index)], self.dtype)


def _objects(path: Path, name: str, trusted: bool) -> dict[str, Leaf]:
    if not trusted:
        raise fault(path, f"'{name}', an array of pickled Python objects", "numbers, as unpickling runs whatever code "
                    "is in the file", "say trusted=True if you know its maker")
    with np.load(path, allow_pickle=True) as archive:
        pieces = [np.asarray(piece) for piece in archive[name].ravel()]
    return {f"{name}/{i}": Piece(path, f"{name}/{i}", p.shape, p.dtype, True) for i, p in enumerate(pieces)}


def npy(path: Path, trusted: bool) -> Members:
    """The one array of a .npy file, called ``data``."""
    with regular(path).open("rb") as file:
        shape, _, dtype = _header(path, "data", file)
        size, there = math.prod(shape) * dtype.itemsize, path.stat().st_size - file.tell()
    if dtype.kind == "c":
        raise complex_fault(path, "data")
    if dtype.kind not in "fiubO":
        raise fault(path, f"an array of {dtype}", "numbers", "save a plain array of numbers")
    if dtype.hasobject:
        raise fault(path, "an array of pickled Python objects", "numbers", "convert it to plain arrays first")
    if there < size or there > size and not trusted:
        raise fault(path, f"{there:,} bytes of data", f"{size:,}, as its header says",
                    "the copy was cut short, or bytes were added: fetch it again")
    files = Files(path.parent, path.name.replace("{", "{{").replace("}", "}}"), [0], None, shape, dtype)
    return {"data": Picked(files, (0, *(slice(None) for _ in shape)))}, {}


def mat5(path: Path, trusted: bool) -> Members:
    """The numeric variables of a MATLAB file of level 5."""
    with guarded(path, "a MATLAB file"):
        listed = scipy.io.whosmat(path)
    found, skipped = {}, {}
    for name, shape, kind in listed:
        if kind not in NUMBERS:
            skipped[name] = f"MATLAB's {kind}, no numbers"
            continue
        dtype = np.dtype(NUMBERS[kind])
        _measured(path, name, math.prod(shape) * dtype.itemsize, path.stat().st_size, trusted)
        found[name] = Matrix(path, name, shape, dtype)
    if not found:
        raise fault(path, f"variables {[(name, kind) for name, _, kind in listed]}", "at least one numeric array",
                    "save plain arrays in MATLAB; structures and cells are not read")
    return found, skipped


def mat73(path: Path, trusted: bool) -> Members:
    """The numeric variables of a MATLAB 7.3 file, their axes turned round to the order that MATLAB shows."""
    found: dict[str, Leaf] = {}
    with source(path, trusted) as file:
        for name, entry in file.members().items():
            if entry.shape is None or name.startswith("#") or entry.odd or not _numeric(file.attrs(name)):
                continue
            found[name] = file.leaf(name, (slice(None),) * len(entry.shape), range(len(entry.shape))[::-1])
        skipped = {name: why for name, why in file.unused().items() if not name.startswith("#")}
    if not found:
        raise fault(path, f"no numeric array{_shown(skipped)}", "at least one",
                    "save plain arrays in MATLAB; structures are not read")
    return found, skipped


def _numeric(attrs: Mapping[str, Any]) -> bool:
    """Whether MATLAB stored numbers: its text is stored as numbers too, and of an empty array only the size."""
    return text(attrs.get("MATLAB_class", "double")) in NUMBERS and not attrs.get("MATLAB_empty", 0)
