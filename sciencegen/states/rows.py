"""Packed rows as a torch data set that reads a file when a loader asks, several rows at once.

Small data are kept in memory once they were read; of larger ones nothing is. Where symmetries are given, a row comes in
many versions: row ``k n + i`` of ``n`` windows is version ``k`` of window ``i``, version 0 the data as they are. The
random numbers of a version depend on the seed and the row's index alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
import xarray
from torch import Tensor
from torch.utils.data import Dataset

from .. import io
from ..layout import Layout
from ..random import Streams
from .parts import StatePart

__all__ = ["Rows", "Symmetry"]

KEPT = 256 * 2**20  # bytes of data that are kept in memory once they were read
CACHED = 2**17  # numbers that are packed at once, which a processor's cache holds
DRAWN = 8  # random numbers that a symmetry is given
VERSIONS = 16  # of a row, where there are symmetries

Symmetry = Callable[[Mapping[str, Tensor], Tensor, Mapping[str, tuple[str, ...]]], Mapping[str, Tensor]]


class Reader:
    """Windows of the data as tensors, from memory where they fit."""

    def __init__(self, data: xarray.Dataset, length: int, stride: int, missing: float | None = None) -> None:
        names = list(map(str, data.data_vars))
        self.windows = io.Windows(data, names, length, stride, missing)
        self.whole = io.Windows(data, names, self.windows.frames, missing=missing)
        self.moving = [name for name in names if "time" in data[name].dims]
        self.keep = sum(v.nbytes for v in data.data_vars.values()) <= KEPT
        self.kept: dict[int, dict[str, Tensor]] = {}

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "kept": {}}

    def notes(self) -> list[str]:
        """Chunks of a file from which windows are read slowly, in sentences."""
        if self.keep:
            return []
        chunks = {name: dict(zip(v.dims, v.encoding.get("chunksizes") or ())) for name, v in self.windows.data.items()}
        return [f"'{name}' is stored in chunks of {n} frames, of which a window of {self.windows.length} reads all: "
                "write the file with chunks of a window" for name, sizes in chunks.items()
                if (n := sizes.get("time", 1)) > 2 * self.windows.length]

    def read(self, indices: Sequence[int]) -> list[dict[str, Tensor]]:
        """The windows of these indices, each as ``{variable: tensor}``."""
        if not self.keep:
            return self.windows.__getitems__(indices)
        starts, length = self.windows.starts, self.windows.length
        found = []
        for index in indices:
            sample, k = divmod(int(index), len(starts))
            if sample not in self.kept:
                self.kept[sample] = self.whole[sample]
            frames = slice(starts[k], starts[k] + length)
            found.append({name: value[frames] if name in self.moving else value
                          for name, value in self.kept[sample].items()})
        return found


class Rows(Dataset):
    """Rows ``(d,)`` in float32: ``rows[i]``, or several at once by ``rows.__getitems__``, as torch's loaders do.

    Arguments:
        reader: of the windows.
        parts: of a row.
        layout: of a row; packs in float64 before it rounds.
        windows: which of the reader's windows these are, ``(n,)``.
        samples: which sample of the data each of them is of, ``(n,)``.
        symmetries: see :mod:`sciencegen.symmetries`; none gives each window once.
        seed: of the random numbers of the symmetries.
    """

    def __init__(self, reader: Reader, parts: Sequence[StatePart], layout: Layout, windows: Tensor, samples: Tensor,
                 symmetries: Sequence[Symmetry] = (), seed: int = 0) -> None:
        self.reader, self.parts, self.layout, self.windows = reader, tuple(parts), layout, windows
        self.samples, self.symmetries, self.seed = samples, tuple(symmetries), seed
        self.dims = {part.name: part.dims for part in parts}

    def __len__(self) -> int:
        return len(self.windows) * (VERSIONS if self.symmetries else 1)

    def __getitem__(self, index: int) -> Tensor:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Tensor]:
        """Several rows, each stretch of the file read once."""
        return list(self.some(indices))

    def some(self, indices: Sequence[int]) -> Tensor:
        """Rows as one tensor ``(b, d)``."""
        parts = self.physical(indices)
        found, few = torch.empty(len(indices), self.layout.size), max(CACHED // self.layout.size, 1)
        for k in range(0, len(indices), few):
            found[k: k + few] = self.layout.pack(**{name: v[k: k + few].double() for name, v in parts.items()})
        return found

    def physical(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """Their parts in physical units, ``{part: (b, *shape)}``."""
        index = self._checked(indices)
        found = self.reader.read(self.windows[index % len(self.windows)].tolist())
        parts = {part.name: _stacked(part, found) for part in self.parts}
        return self._versions(parts, index) if self.symmetries else parts

    def tensor(self) -> Tensor:
        """All windows as they are, ``(n, d)`` in memory, in the order of the file."""
        return torch.cat([rows for _, rows in self.chunks()])

    def chunks(self, size: int = 64) -> Iterator[tuple[Tensor, Tensor]]:
        """All windows as they are, in the order of the file: which ``(b,)``, and the rows ``(b, d)``."""
        for index in torch.arange(len(self.windows)).split(size):
            yield index, self.some(index.tolist())

    def _checked(self, indices: Sequence[int]) -> Tensor:
        index, count = torch.as_tensor(indices).reshape(-1), len(self)
        if len(index) and not bool(((index >= -count) & (index < count)).all()):
            raise IndexError(f"got rows {indices}; expected {-count} to {count - 1}")
        return index % max(count, 1)

    def _versions(self, parts: dict[str, Tensor], index: Tensor) -> dict[str, Tensor]:
        """Each row seen in the version that its index says."""
        seeds = index + self.seed * 2**40
        drawn = [Streams(seeds, k).uniform(DRAWN) for k in range(len(self.symmetries))]
        rows = []
        for row, at in enumerate(index.tolist()):
            one: Mapping[str, Tensor] = {k: v[row] for k, v in parts.items()}
            for symmetry, numbers in zip(self.symmetries if at >= len(self.windows) else (), drawn):
                one = symmetry(one, numbers[row], self.dims)
            rows.append(one)
        return {k: torch.stack([row[k] for row in rows]) for k in parts}


def _stacked(part: StatePart, found: Sequence[Mapping[str, Tensor]]) -> Tensor:
    """A part of several windows, ``(b, *shape)``, its variables side by side."""
    values = [torch.stack([_real(window[name]) for window in found]) for name in part.variables]
    return values[0] if part.stacked is None else torch.stack(values, 1 + part.stacked)


def _real(value: Tensor) -> Tensor:
    return value if value.is_floating_point() else value.double()
