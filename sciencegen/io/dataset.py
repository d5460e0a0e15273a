"""Stretches of time as a torch data set, read from the file when a loader asks for them.

A batch is read in the order of the file, overlapping stretches of one sample together, whatever the order in which it
was asked for. The data set can be pickled and opens its file in each worker, so all of fork, spawn and forkserver work.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from itertools import groupby

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
    only gives the same for all samples. Nothing is scaled, and NaN stays NaN unless ``missing`` says what to put.

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
        self.frames = self.data.sizes.get("time", 1)
        if not 1 <= length <= self.frames or stride < 1:
            raise ValueError(f"got length={length}, stride={stride} for {self.frames} frames; expected 1 <= length <= "
                             f"{self.frames} and stride >= 1")
        self.starts = range(0, self.frames - length + 1, stride)
        self._sources = [(name, self.data[name].variable, source(self.data[name].variable)) for name in self.variables]

    def __len__(self) -> int:
        return self.data.sizes.get("sample", 1) * len(self.starts)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        sample, start = self._place(index)
        return self._read(sample, [start])[0][1]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Tensor]]:
        """Several at once, each file region read once; torch's loaders call this for a batch."""
        places = [self._place(i) for i in indices]
        found: dict[tuple[int, int], dict[str, Tensor]] = {}
        for sample, group in groupby(sorted(set(places)), key=lambda place: place[0]):
            for stretch in self._joined([start for _, start in group]):
                for start, window in self._read(sample, stretch):
                    found[sample, start] = window
        return [found[place] for place in places]

    def _place(self, index: int) -> tuple[int, int]:
        """The sample and the first frame of a window."""
        count = len(self)
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
        first, last = starts[0], starts[-1] + self.length
        place: dict[Hashable, int | slice] = {"sample": sample, "time": slice(first, last)}
        read = {}
        for name, variable, leaf in self._sources:
            key = tuple([place.get(dim, ALL) for dim in variable.dims])
            part = variable[key].values if leaf is None else leaf.read(key)
            read[name] = torch.from_numpy(self._clean(part)), "time" in variable.dims
        return [(s, {name: (part[s - first:s - first + self.length] if moves else part)
                     for name, (part, moves) in read.items()}) for s in starts]

    def _clean(self, part: np.ndarray) -> np.ndarray:
        part = np.asarray(part)
        if not (part.flags.writeable and part.flags.c_contiguous and part.dtype.isnative):
            part = np.array(part, part.dtype.newbyteorder("="), order="C")
        if self.missing is not None and part.dtype.kind == "f":
            return np.where(np.isnan(part), part.dtype.type(self.missing), part)
        return part
