"""Stretches of time as a torch data set, read from the file when a loader asks for them.

A batch is read in the order of the file, overlapping stretches of one sample together, whatever the order in which it
was asked for. The data set can be pickled and opens its file in each worker, so all of fork, spawn and forkserver work.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

import numpy as np
import torch
import xarray
from torch import Tensor
from torch.utils.data import Dataset

from .detect import open as open_data
from .leaf import source

__all__ = ["Windows"]

ALL = slice(None)


class Windows(Dataset):
    """All stretches of ``length`` frames, ``stride`` apart, of every sample: ``windows[i]`` is a dict of tensors.

    A variable of (sample, time, ...) gives (length, ...), one without time (...), a parameter (). What varies with time
    only gives the same for all samples. Time comes first, whatever the order in ``data``; other axes keep theirs.
    Nothing is scaled, and NaN stays NaN unless ``missing`` says what to put. No two windows share memory, so that a
    window may be written to. ValueError for variables that are no real numbers.

    Arguments:
        data: a dataset that :func:`sciencegen.io.open` returned, or a path for it.
        variables: the names to read.
        length: frames in a stretch; 1 where nothing varies with time.
        stride: frames from one stretch's start to the next.
        missing: what stands for NaN.
    """

    def __init__(self, data: xarray.Dataset | str | os.PathLike, variables: Sequence[str], length: int = 1,
                 stride: int = 1, missing: float | None = None) -> None:
        self.data = data if isinstance(data, xarray.Dataset) else open_data(data)
        self.variables, self.length, self.stride, self.missing = tuple(variables), length, stride, missing
        if lost := [name for name in self.variables if name not in self.data]:
            raise KeyError(f"got the variable '{lost[0]}'; expected some of {sorted(self.data.data_vars)}")
        if odd := [name for name in self.variables if self.data[name].dtype.kind not in "fiub"]:
            raise ValueError(f"got '{odd[0]}' of {self.data[odd[0]].dtype}; expected real numbers; leave it out, or "
                             "put numbers in its place (of complex ones the real and the imaginary part)")
        self.frames = self.data.sizes.get("time", 1)
        if not 1 <= length <= self.frames or stride < 1:
            raise ValueError(f"got length={length}, stride={stride} for {self.frames} frames; expected 1 <= length <= "
                             f"{self.frames} and stride >= 1")
        self.starts = range(0, self.frames - length + 1, stride)
        self._count = self.data.sizes.get("sample", 1) * len(self.starts)
        self._sources = [_Source(name, self.data[name].variable) for name in self.variables]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        sample, start = self._place(index)
        return self._read(sample, [start])[0][1]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Tensor]]:
        """Several at once, each file region read once; torch's loaders call this for a batch."""
        places = [self._place(i) for i in indices]
        found: dict[tuple[int, int], dict[str, Tensor]] = {}
        for sample, group in groupby(sorted(set(places)), key=itemgetter(0)):
            for stretch in self._joined([start for _, start in group]):
                for start, window in self._read(sample, stretch):
                    found[sample, start] = window
        given: set[tuple[int, int]] = set()
        return [self._once(found[place], place, given) for place in places]

    def _once(self, window: dict[str, Tensor], place: tuple[int, int], given: set) -> dict[str, Tensor]:
        """The window itself the first time that it is asked for, then copies."""
        if place in given:
            return {name: part.clone() for name, part in window.items()}
        given.add(place)
        return window

    def _place(self, index: int) -> tuple[int, int]:
        """The sample and the first frame of a window."""
        count = self._count
        if not -count <= index < count:
            raise IndexError(f"got the index {index}; expected {-count} to {count - 1}")
        sample, k = divmod(int(index) % count, len(self.starts))
        return sample, self.starts[k]

    def _joined(self, starts: Sequence[int]) -> list[list[int]]:
        """Ascending starts grouped where the stretches overlap or touch."""
        groups: list[list[int]] = []
        for start in starts:
            if groups and start <= groups[-1][-1] + self.length:
                groups[-1].append(start)
            else:
                groups.append([start])
        return groups

    def _read(self, sample: int, starts: list[int]) -> list[tuple[int, dict[str, Tensor]]]:
        first, frames = starts[0], slice(starts[0], starts[-1] + self.length)
        parts = [(s.name, torch.from_numpy(self._clean(s.read(sample, frames))), s.moves) for s in self._sources]
        if len(starts) == 1:
            return [(first, {name: part for name, part, _ in parts})]
        lapping = any(b - a < self.length for a, b in zip(starts, starts[1:]))
        cut = lambda part, start: part[start - first:start - first + self.length]
        return [(start, {name: (cut(part, start).clone() if lapping else cut(part, start)) if moves else part.clone()
                         for name, part, moves in parts}) for start in starts]

    def _clean(self, part: np.ndarray) -> np.ndarray:
        part, flags = np.asarray(part), part.flags
        if not (flags.writeable and flags.c_contiguous and part.dtype.isnative):
            part = np.array(part, part.dtype.newbyteorder("="), order="C")
        if self.missing is not None and part.dtype.kind == "f":
            return np.where(np.isnan(part), part.dtype.type(self.missing), part)
        return part


class _Source:
    """A variable, and what is worked out once and not for each window: where it is stored, and which axis is which."""

    def __init__(self, name: str, variable: xarray.Variable) -> None:
        self.name, self.moves = name, "time" in variable.dims
        self._variable, self._leaf = variable, source(variable)
        kept = [dim for dim in variable.dims if dim != "sample"]
        first = kept.index("time") if self.moves else 0
        self._order = None if not first else [first, *(i for i in range(len(kept)) if i != first)]
        self._whole: list[int | slice] = [ALL] * variable.ndim
        self._axes = [variable.dims.index(dim) if dim in variable.dims else None for dim in ("sample", "time")]

    def read(self, sample: int, frames: slice) -> np.ndarray:
        """A sample's frames; all of what has neither."""
        key = self._whole.copy()
        for axis, part in zip(self._axes, (sample, frames)):
            if axis is not None:
                key[axis] = part
        # what is in memory is the caller's
        found = np.array(self._variable[tuple(key)]) if self._leaf is None else self._leaf.read(tuple(key))
        return found if self._order is None else found.transpose(self._order)
