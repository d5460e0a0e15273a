r"""Symmetries of data: what takes states to states that are equally likely.

Where the law of a system is the same after a shift, in a mirror or after a quarter turn, each state of it is as many
states as the group has elements, and a prior that is trained on all of them has the symmetry. Each class here is one
group. It is called as ``symmetry(parts, random, dims)``: parts in physical units ``{name: tensor}`` whose axes are
called ``dims[name]``, and numbers uniform in (0, 1) that choose the element, each with the same probability. Any
function with that signature is a symmetry too.

Fields move with their grid, and components of vectors move and change sign as well: an *entry* that does is the name
of a part, or ``(part, axis, index)`` of one that holds several components along an axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Mirror", "Shift", "Turn"]

Parts = Mapping[str, Tensor]
Dims = Mapping[str, Sequence[str]]
Entry = str | tuple[str, str, int]


@dataclass(frozen=True)
class Shift:
    """Shifts along periodic axes, by any number of grid points.

    Arguments:
        axes: names of the axes; what has none of them stays as it is.
    """

    axes: tuple[str, ...]

    @property
    def periodic(self) -> tuple[str, ...]:
        """The axes whose ends meet."""
        return self.axes

    def __call__(self, parts: Parts, random: Tensor, dims: Dims) -> dict[str, Tensor]:
        """The parts shifted by one of all shifts."""
        sizes = [_size(parts, dims, axis) for axis in self.axes]
        return self.moved(parts, [int(r * n) for r, n in zip(random.tolist(), sizes)], dims)

    def moved(self, parts: Parts, steps: Sequence[int], dims: Dims) -> dict[str, Tensor]:
        """The parts with what stood at index ``i`` of each axis at ``i + steps``."""
        found = {}
        for name, value in parts.items():
            here = [(step, dims[name].index(axis)) for step, axis in zip(steps, self.axes) if axis in dims[name]]
            found[name] = value.roll(*map(list, zip(*here))) if here else value
        return found


@dataclass(frozen=True)
class Mirror:
    """The mirror image along an axis, with probability one half.

    Arguments:
        axis: its name; what does not have it stays as it is.
        odd: entries that change their sign, as the component of a velocity along the axis.
    """

    axis: str
    odd: tuple[Entry, ...] = ()

    def __call__(self, parts: Parts, random: Tensor, dims: Dims) -> dict[str, Tensor]:
        """The parts, or their mirror image."""
        return self.moved(parts, int(2 * random[0]), dims)

    def moved(self, parts: Parts, times: int, dims: Dims) -> dict[str, Tensor]:
        """The parts after so many reflections."""
        _size(parts, dims, self.axis)
        if not times % 2:
            return dict(parts)
        found = {k: v.flip(dims[k].index(self.axis)) if self.axis in dims[k] else v for k, v in parts.items()}
        for entry in self.odd:
            found = _put(found, entry, -_get(found, entry, dims), dims)
        return found


@dataclass(frozen=True)
class Turn:
    """Quarter turns of a square grid.

    Arguments:
        axes: names of the two axes; a turn takes the first to the second. What has neither stays as it is.
        vectors: pairs of entries, the components of vectors along the two axes.

    Raises:
        ValueError: a grid that is not square, or a part with one of the axes only.
    """

    axes: tuple[str, str]
    vectors: tuple[tuple[Entry, Entry], ...] = ()

    def __call__(self, parts: Parts, random: Tensor, dims: Dims) -> dict[str, Tensor]:
        """The parts in one of the four positions."""
        return self.moved(parts, int(4 * random[0]), dims)

    def moved(self, parts: Parts, times: int, dims: Dims) -> dict[str, Tensor]:
        """The parts after so many quarter turns."""
        found = {k: self._turned(k, v, times, dims[k]) for k, v in parts.items()}
        for first, second in self.vectors * (times % 4):
            one, other = _get(found, first, dims), _get(found, second, dims)
            found = _put(_put(found, first, -other, dims), second, one, dims)
        return found

    def _turned(self, name: str, value: Tensor, times: int, dims: Sequence[str]) -> Tensor:
        places = [dims.index(axis) for axis in self.axes if axis in dims]
        if places and (len(places) < 2 or value.shape[places[0]] != value.shape[places[1]]):
            raise ValueError(f"got '{name}' over {dict(zip(dims, value.shape))} to be turned in {self.axes}; expected "
                             "both axes, of equal size: leave the symmetry out")
        return torch.rot90(value, times, places) if places else value


def _size(parts: Parts, dims: Dims, axis: str) -> int:
    sizes = {parts[k].shape[dims[k].index(axis)] for k in parts if axis in dims[k]}
    if len(sizes) != 1:
        raise ValueError(f"got {sorted(sizes) or 'no'} sizes of the axis '{axis}' in {dict(dims)}; expected parts with "
                         "that axis, of one size")
    return sizes.pop()


def _where(entry: Entry, dims: Dims) -> tuple[str, tuple[int | slice, ...]]:
    name, axis, index = (entry, None, 0) if isinstance(entry, str) else entry
    if name not in dims or (axis is not None and axis not in dims[name]):
        raise ValueError(f"got the entry {entry}; expected a part, or (part, axis, index), of {dict(dims)}")
    return name, () if axis is None else (*[slice(None)] * dims[name].index(axis), index)


def _get(parts: Parts, entry: Entry, dims: Dims) -> Tensor:
    name, key = _where(entry, dims)
    return parts[name][key]


def _put(parts: Parts, entry: Entry, value: Tensor, dims: Dims) -> dict[str, Tensor]:
    name, key = _where(entry, dims)
    whole = parts[name].clone()
    whole[key] = value
    return {**parts, name: whole}
