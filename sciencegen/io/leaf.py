"""Arrays that stay in their files until they are asked for.

A leaf has a shape, a dtype and ``read(key)``, where ``key`` holds an integer, a slice or an ascending vector of indices
(some may come twice) for each axis. :class:`Stored` is a dataset of an HDF5 file, :class:`Files` one .npy a frame;
:class:`Picked` and :class:`Stacked` see other leaves in another order or side by side. A leaf can be pickled and
survives a fork: what it pickles is a path, and each process opens the file for itself at its first read.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray
from xarray.backends import BackendArray
from xarray.core import indexing

from ..files import fault, guarded, regular

__all__ = ["Files", "Foreign", "Handle", "Key", "Leaf", "Picked", "Stacked", "StoredLeaf", "WholeLeaf", "source",
           "variable"]

Key = tuple[int | slice | np.ndarray, ...]


class Leaf(ABC):
    """An array on disk: ``shape``, ``dtype``, and ``chunks`` where it is stored in blocks."""

    shape: tuple[int, ...]
    dtype: np.dtype
    chunks: tuple[int, ...] | None = None

    @abstractmethod
    def read(self, key: Key) -> np.ndarray:
        """The part that ``key`` names; an integer drops its axis."""


class Handle:
    """An HDF5 file that each process opens for itself at its first read."""

    def __init__(self, path: str | os.PathLike, file: h5py.File | None = None) -> None:
        self.path = os.path.abspath(path)
        self._opened: tuple[int, h5py.File, dict[str, h5py.Dataset]] | None = file and (os.getpid(), file, {})

    def __getstate__(self) -> str:
        return self.path

    def __setstate__(self, path: str) -> None:
        self.__init__(path)

    def dataset(self, name: str, shape: tuple[int, ...]) -> h5py.Dataset:
        """The dataset of that name, in this process; ValueError if it is no longer of that shape."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = None
            with guarded(self.path, "an HDF5 file"):
                self._opened = os.getpid(), h5py.File(self.path, "r"), {}
        _, file, known = self._opened
        if name not in known:
            with guarded(self.path, f"'{name}'"):
                found = file.get(name)
                if getattr(found, "shape", None) != shape:
                    raise fault(self.path, f"'{name}' of shape {getattr(found, 'shape', None)}", f"{shape}, as when it "
                                "was opened", "the file was written to meanwhile: open it again")
                known[name] = found
        return known[name]


class StoredLeaf(Leaf):
    """A dataset of an HDF5 file, as it is stored."""

    def __init__(self, handle: Handle, name: str, dataset: h5py.Dataset) -> None:
        self.handle, self.name = handle, name
        self.shape, self.dtype, self.chunks = dataset.shape, dataset.dtype, dataset.chunks

    def read(self, key: Key) -> np.ndarray:
        dataset = self.handle.dataset(self.name, self.shape)
        try:
            # types, not an isinstance for each part: that would cost as much as a small read
            return self._blocks(key) if np.ndarray in map(type, key) else np.asarray(dataset[key])
        except Exception as error:
            with guarded(self.handle.path, f"a part of '{self.name}'"):
                raise error

    def _blocks(self, key: Key) -> np.ndarray:
        """One contiguous read for each run of indices; indices of one chunk are read together."""
        axis = next(i for i, k in enumerate(key) if isinstance(k, np.ndarray))
        if not len(key[axis]):
            return self.read((*key[:axis], slice(0, 0), *key[axis + 1:]))
        chunk = self.chunks[axis] if self.chunks else 1
        kept = sum(not isinstance(k, int | np.integer) for k in key[:axis])
        parts = []
        for run in _runs(key[axis], chunk):
            block = self.read((*key[:axis], slice(int(run[0]), int(run[-1]) + 1), *key[axis + 1:]))
            whole = bool((np.diff(run) == 1).all())  # an index may come twice
            parts.append(block if whole else np.take(block, run - run[0], axis=kept))
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=kept)


def _runs(indices: np.ndarray, chunk: int) -> list[np.ndarray]:
    """Ascending indices cut where the next one is neither adjacent nor in the same chunk."""
    apart = (np.diff(indices) > 1) & (np.diff(indices // chunk) > 0)
    return np.split(indices, np.flatnonzero(apart) + 1)


class Picked(Leaf):
    """Another leaf with some axes fixed, some cut short, and the rest in another order.

    Arguments:
        leaf: what is looked at.
        where: for each of its axes an index (the axis is dropped) or a length (the first so many are kept).
        order: the kept axes, numbered as they are stored, in the order in which they are to be seen.
    """

    def __init__(self, leaf: Leaf, where: Sequence[int | slice], order: Sequence[int] | None = None) -> None:
        kept = [i for i, w in enumerate(where) if isinstance(w, slice)]
        self.leaf, self.where = leaf, tuple(where)
        self.axes = tuple(kept if order is None else (kept[i] for i in order))
        self.shape = tuple(len(range(leaf.shape[i])[where[i]]) for i in self.axes)
        self.dtype = leaf.dtype
        self.chunks = tuple(leaf.chunks[i] for i in self.axes) if leaf.chunks else None

    def read(self, key: Key) -> np.ndarray:
        stored: list[Any] = list(self.where)
        for axis, part in zip(self.axes, key):
            stored[axis] = slice(*part.indices(self.shape[self.axes.index(axis)])) if isinstance(part, slice) else part
        found = self.leaf.read(tuple(stored))
        seen = [axis for axis, part in zip(self.axes, key) if isinstance(part, slice | np.ndarray)]
        return found.transpose([sorted(seen).index(axis) for axis in seen])


class Stacked(Leaf):
    """Leaves of one shape side by side along a new first axis."""

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        self.leaves = list(leaves)
        first = self.leaves[0]
        self.shape, self.dtype = (len(self.leaves), *first.shape), first.dtype
        self.chunks = (1, *(first.chunks or first.shape))

    def read(self, key: Key) -> np.ndarray:
        if isinstance(key[0], int | np.integer):
            return self.leaves[int(key[0])].read(key[1:])
        chosen = np.arange(len(self.leaves))[key[0]]
        parts = [self.leaves[i].read(key[1:]) for i in chosen]
        return np.stack(parts) if parts else np.empty((0, *_shape(self.shape[1:], key[1:])), self.dtype)


class Files(Leaf):
    """One .npy file a frame: ``root/pattern`` with ``{sample}`` and ``{time}`` filled in; (sample, time, *frame)."""

    def __init__(self, root: Path, pattern: str, samples: Sequence[int], times: Sequence[int] | None,
                 frame: tuple[int, ...], dtype: np.dtype) -> None:
        self.root, self.pattern, self.samples, self.times = root, pattern, list(samples), times and list(times)
        self.frame, self.dtype = frame, dtype
        self.shape = (len(self.samples), *((len(self.times),) if self.times else ()), *frame)
        self.chunks = (1, *((1,) if self.times else ()), *frame)

    def read(self, key: Key) -> np.ndarray:
        lead = 2 if self.times else 1
        rows = [np.arange(n)[k] for n, k in zip(self.shape, key[:lead])]
        found = [self._frame(*indices)[key[lead:]] for indices in np.ndindex(*(np.size(r) for r in rows))
                 for indices in [tuple(int(np.atleast_1d(r)[i]) for r, i in zip(rows, indices))]]
        outer = [n for r in rows for n in np.shape(r)]
        return np.asarray(found, self.dtype).reshape((*outer, *_shape(self.frame, key[lead:])))

    def path(self, sample: int, time: int = 0) -> Path:
        """The file of a sample's frame, both as indices."""
        return self.root / self.pattern.format(sample=self.samples[sample], time=self.times[time] if self.times else 0)

    def _frame(self, sample: int, time: int = 0) -> np.ndarray:
        path = self.path(sample, time)
        with guarded(path):
            frame = np.load(regular(path), mmap_mode="r", allow_pickle=False)
        if frame.shape != self.frame or frame.dtype != self.dtype:
            raise fault(path, f"{frame.dtype} of shape {frame.shape}", f"{self.dtype} of {self.frame}, as the first "
                        "frame", "frames of mixed resolution do not fit one array: open them apart")
        if (end := frame.offset + frame.nbytes) != os.path.getsize(path):
            raise fault(path, f"{os.path.getsize(path):,} bytes", f"{end:,}, as its header says",
                        "bytes were added: fetch or make it again")
        return frame


class WholeLeaf(Leaf):
    """What can only be read as a whole; it is read at the first request and kept. Subclasses say how."""

    _kept: np.ndarray | None = None

    def __getstate__(self) -> Mapping[str, Any]:
        return {**self.__dict__, "_kept": None}

    @abstractmethod
    def load(self) -> np.ndarray:
        """All of it, ``shape`` and ``dtype`` as announced."""

    def read(self, key: Key) -> np.ndarray:
        if self._kept is None:
            self._kept = self.load()
        return self._kept[np.ix_(*(np.atleast_1d(np.arange(n)[k]) for n, k in zip(self.shape, key)))].reshape(
            _shape(self.shape, key))


class Foreign(Leaf):
    """A variable that another library reads."""

    def __init__(self, path: str | os.PathLike, variable: xarray.Variable) -> None:
        self.path, self.variable = os.fspath(path), variable
        self.shape, self.dtype, self.chunks = variable.shape, variable.dtype, variable.encoding.get("chunksizes")

    def read(self, key: Key) -> np.ndarray:
        with guarded(self.path, "numbers"):
            return np.asarray(self.variable[key].values)


def _shape(shape: Sequence[int], key: Key) -> list[int]:
    return [size for n, k in zip(shape, key) for size in np.shape(np.empty(n, bool)[k])]


class Lazy(BackendArray):
    """A leaf as xarray's indexing sees it."""

    def __init__(self, leaf: Leaf) -> None:
        self.leaf, self.shape, self.dtype = leaf, leaf.shape, np.dtype(leaf.dtype)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self.leaf.read)


def source(variable: xarray.Variable) -> Leaf | None:
    """The leaf of a variable that nobody has indexed or decoded, to read it without xarray's own work; else None."""
    data = getattr(variable, "_data", None)
    untouched = isinstance(data, indexing.LazilyIndexedArray) and isinstance(data.array, Lazy)
    return data.array.leaf if untouched and data.shape == data.array.shape and _whole(data.key.tuple) else None


def _whole(key: tuple[Any, ...]) -> bool:
    return all(isinstance(k, slice) and k == slice(None) for k in key)


def variable(dims: Sequence[str], leaf: Leaf, attrs: Mapping[str, Any]) -> xarray.Variable:
    """A variable that is read where and when it is indexed; its chunks stand in ``encoding["chunksizes"]``."""
    lazy = indexing.LazilyIndexedArray(Lazy(leaf))
    return xarray.Variable(dims, lazy, dict(attrs), {"chunksizes": leaf.chunks} if leaf.chunks else {})
