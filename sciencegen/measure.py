"""Measurements of named parts: points, lines, averages over boxes, joined by ``&``.

``measure = Points("u", where) & Averages("a", boxes)`` is a function ``(**parts) -> (*B, m)``, linear in the parts,
that knows where it measured. Places are in units of the grid's index, whole numbers being grid points; with ``axes``,
the physical coordinates along each axis of the part, they are in those. Between grid points the part is interpolated
linearly along each axis, and up to half a cell beyond the last ones it is continued.
"""

from __future__ import annotations

import abc
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import xarray
from torch import Tensor

from .layout import Layout, View
from .linear import Select, Sparse

__all__ = ["Averages", "Entries", "Lines", "Measurement", "Points"]

ROUNDING = 1e-9  # of a cell: what a coordinate on the edge itself may be beyond it

Axes = Sequence[Sequence[float] | Tensor]


class Measurement(abc.ABC):
    """``(**parts) -> (*B, m)``, and where each of the ``m`` numbers was measured."""

    @abc.abstractmethod
    def __call__(self, **parts: Tensor) -> Tensor:
        """Parts ``(*B, *shape)`` to ``(*B, m)``, in their units."""

    @abc.abstractmethod
    def of(self, layout: Layout) -> tuple[Sparse, Tensor]:
        """Of packed states: the linear map and the offset ``(m,)`` with ``measure(**parts) = map(x) + offset``."""

    @abc.abstractmethod
    def labels(self, layout: Layout) -> xarray.Dataset:
        """Over the dim ``measurement``: the ``variable`` and, for each of its dims, the physical coordinate."""

    def __and__(self, other: Measurement) -> Measurement:
        return Joined(self, other)


@dataclass(frozen=True)
class Joined(Measurement):
    """One after the other."""

    first: Measurement
    second: Measurement

    def __call__(self, **parts: Tensor) -> Tensor:
        return torch.cat([self.first(**parts), self.second(**parts)], dim=-1)

    def of(self, layout: Layout) -> tuple[Sparse, Tensor]:
        (first, here), (second, there) = self.first.of(layout), self.second.of(layout)
        width = max(first.index.shape[1], second.index.shape[1])
        wide = lambda v: torch.nn.functional.pad(v, (0, width - v.shape[1]))
        index, weight = (torch.cat([wide(a), wide(b)]) for a, b in ((first.index, second.index),
                                                                    (first.weight, second.weight)))
        return Sparse(index, weight, layout.size), torch.cat([here, there])

    def labels(self, layout: Layout) -> xarray.Dataset:
        return xarray.concat([self.first.labels(layout), self.second.labels(layout)], "measurement", data_vars="all")


@dataclass(frozen=True)
class Weighted(Measurement):
    """What points, lines and averages share: each number is a weighted sum over the grid of one part."""

    name: str
    where: Tensor = field(repr=False)
    axes: Axes | None = field(default=None, repr=False)

    def __call__(self, **parts: Tensor) -> Tensor:
        if self.name not in parts:
            raise KeyError(f"no part '{self.name}' to measure; there are {list(parts)}")
        part, count = parts[self.name], self._axes()
        index, weight = self._weights(part.shape[part.ndim - count:])
        values = part.flatten(part.ndim - count)[..., index.to(part.device)]
        return (values * weight.to(part)).sum(-1)

    def of(self, layout: Layout) -> tuple[Sparse, Tensor]:
        if self.name not in layout.variables:
            raise KeyError(f"no part '{self.name}' to measure; there are {list(layout.variables)}")
        shape, start = layout.variables[self.name].shape, layout.offsets[self.name]
        if len(shape) != self._axes():
            raise ValueError(f"got places on {self._axes()} axes for '{self.name}' of shape {shape}; expected one "
                             "coordinate for each of its axes")
        index, weight = self._weights(shape)
        loc, scale = (v.double().cpu()[index + start] for v in (layout.loc, layout.scale))
        return Sparse(index + start, weight * scale, layout.size), (weight * loc).sum(-1)

    def labels(self, layout: Layout) -> xarray.Dataset:
        variable = layout.variables[self.name]
        dims = variable.dims or tuple(f"{self.name}_{i}" for i in range(len(variable.shape)))
        centres = self._centres().numpy()
        found = {"variable": ("measurement", np.full(len(centres), self.name))}
        for dim, size, centre in zip(dims, variable.shape, centres.T):
            along = variable.coords.get(dim) if self.axes is None else None
            centre = centre if along is None else np.interp(centre, np.arange(size), np.asarray(along, dtype=float))
            found[dim] = ("measurement", centre)
        return xarray.Dataset(found)

    def _where(self) -> Tensor:
        where = torch.as_tensor(self.where, dtype=torch.float64)
        if where.ndim != self._ndim:
            raise ValueError(f"got places of shape {tuple(where.shape)}; expected {self._expected}, k the axes of "
                             f"'{self.name}'")
        return where

    def _index(self, places: Tensor, shape: Sequence[int]) -> Tensor:
        """Places ``(n, k)`` in units of the grid's index; ValueError outside of it."""
        if self.axes is not None:
            grid = [torch.tensor(np.asarray(axis), dtype=torch.float64) for axis in self.axes]  # they may be read-only
            if [len(axis) for axis in grid] != list(shape):
                raise ValueError(f"got axes of {[len(a) for a in grid]} coordinates for '{self.name}' of shape "
                                 f"{tuple(shape)}; expected one coordinate a grid point")
            places = torch.stack([_fraction(axis, p) for axis, p in zip(grid, places.mT, strict=True)], -1)
        half = 0.5 + ROUNDING
        outside = ((places < -half) | (places > torch.tensor(shape, dtype=torch.float64) - 1 + half)).any(-1)
        if outside.any():
            raise ValueError(f"got {int(outside.sum())} places outside the grid of '{self.name}', the first at index "
                             f"{places[outside][0].tolist()}; expected them within half a cell of its "
                             f"{tuple(shape)} points")
        return places

    @abc.abstractmethod
    def _weights(self, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Indices into a flat part of that shape, and the weight of each, ``(m, k)`` both."""

    def _axes(self) -> int:
        return self._where().shape[1]

    def _centres(self) -> Tensor:
        return self._where()

    _ndim = 2
    _expected = "(n, k)"


@dataclass(frozen=True)
class Points(Weighted):
    """Values at ``where (n, k)``, ``k`` the axes of part ``name``: ``Points("u", [[3, 4], [0, 7.5]])``."""

    def _weights(self, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        return _interpolation(self._index(self._where(), shape), shape)


@dataclass(frozen=True)
class Lines(Weighted):
    """Means along straight lines from ``where[:, 0]`` to ``where[:, 1]``, ``(n, 2, k)``, by ``count`` points each."""

    count: int = 64
    _ndim = 3
    _expected = "(n, 2, k)"

    def _where(self) -> Tensor:
        ends = super()._where()
        along = (torch.arange(self.count) + 0.5) / self.count  # the midpoint rule
        return (ends[:, :1].mT + (ends[:, 1:] - ends[:, :1]).mT * along.double()).transpose(1, 2).flatten(0, 1)

    def _weights(self, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        index, weight = _interpolation(self._index(self._where(), shape), shape)
        return index.reshape(len(index) // self.count, -1), weight.reshape(len(index) // self.count, -1) / self.count

    def _centres(self) -> Tensor:
        return self._where().unflatten(0, (-1, self.count)).mean(1)


@dataclass(frozen=True)
class Averages(Weighted):
    """Means over the grid points in boxes ``where (n, k, 2)``: low and high end along each axis, both included."""

    _ndim = 3
    _expected = "(n, k, 2)"

    def _weights(self, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        axes = [torch.arange(n) for n in shape] if self.axes is None else self.axes
        grid = torch.cartesian_prod(*(torch.as_tensor(axis, dtype=torch.float64) for axis in axes))
        boxes = self._where()
        inside = ((grid.reshape(1, -1, len(shape)) >= boxes[:, None, :, 0])
                  & (grid.reshape(1, -1, len(shape)) <= boxes[:, None, :, 1])).all(-1).double()
        if bool((inside.sum(-1) == 0).any()):
            raise ValueError(f"got a box of '{self.name}' without a grid point in it; expected at least one")
        weight, index = (inside / inside.sum(-1, keepdim=True)).sort(dim=-1, descending=True, stable=True)
        most = int((weight > 0).sum(-1).max())
        return index[:, :most], weight[:, :most]

    def _centres(self) -> Tensor:
        return self._where().mean(-1)


@dataclass(frozen=True)
class Entries(Measurement):
    """Numbers of part ``name`` each read by itself: those of ``key`` along its leading axes, as ``slice(0, 5)``."""

    name: str
    key: slice | int | tuple[slice | int, ...] = ()

    def __call__(self, **parts: Tensor) -> Tensor:
        if self.name not in parts:
            raise KeyError(f"no part '{self.name}' to measure; there are {list(parts)}")
        part = parts[self.name]
        return part[(slice(None), *self._key)].reshape(len(part), -1)

    def of(self, layout: Layout) -> tuple[Sparse, Tensor]:
        rows = self._view(layout).rows
        return Select(rows, layout.size, layout.scale[rows].double().cpu()), layout.loc[rows].double().cpu()

    def labels(self, layout: Layout) -> xarray.Dataset:
        variable, rows = layout.variables[self.name], self._view(layout).rows - layout.offsets[self.name]
        dims = variable.dims or tuple(f"{self.name}_{i}" for i in range(len(variable.shape)))
        found = {"variable": ("measurement", np.full(len(rows), self.name))}
        for dim, index in zip(dims, np.unravel_index(rows.numpy(), variable.shape) if variable.shape else ()):
            found[dim] = ("measurement", np.asarray(variable.coords.get(dim, np.arange(index.max() + 1)))[index])
        return xarray.Dataset(found)

    @property
    def _key(self) -> tuple[slice | int, ...]:
        return self.key if isinstance(self.key, tuple) else (self.key,)

    def _view(self, layout: Layout) -> View:
        return layout[self.name][self._key] if layout.variables[self.name].shape else layout[self.name]


def _fraction(axis: Tensor, places: Tensor) -> Tensor:
    """Where ``places`` are on a rising ``axis (n,)``, in units of its index."""
    if len(axis) < 2 or not bool((axis.diff() > 0).all()):
        raise ValueError(f"got the axis {axis.tolist()}; expected two or more rising coordinates")
    low = (torch.searchsorted(axis, places.contiguous(), right=True) - 1).clamp(0, len(axis) - 2)
    return low + (places - axis[low]) / (axis[low + 1] - axis[low])


def _interpolation(places: Tensor, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Corners of the cells of ``places (n, k)``, and their weights in multilinear interpolation, ``(n, 2^k)`` both."""
    last = torch.tensor(shape) - 1
    low = torch.minimum(places.floor().long().clamp_min(0), (last - 1).clamp_min(0))
    part, strides = places - low, torch.tensor(shape).flip(0).cumprod(0).flip(0) // torch.tensor(shape)
    up = torch.tensor(list(itertools.product((0, 1), repeat=len(shape))))
    index = (torch.minimum(low[:, None] + up, last) * strides).sum(-1)
    return index, torch.where(up.bool(), part[:, None], 1 - part[:, None]).prod(-1)
