"""Chains of windows: a long state, the windows that it consists of, and which readings each of them sees.

A window has ``L`` frames; each window after the first shares its first ``m`` frames, the memory, with the one before.
What has no time axis is in all of them: what is carried from window to window is the last frames *and* the parameters,
so that these are counted once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
import xarray
from torch import Tensor

from ..layout import Layout, Variable
from ..linear import Sparse
from ..measure import Measurement
from ..view import View

__all__ = ["Chain", "Sight", "framed"]


class Sight(NamedTuple):
    """What is read of one frame, as seen from a window.

    Arguments:
        frame: of the horizon.
        which: numbers ``(m,)`` of the readings among all.
        read: the linear map of window states ``(*B, n)`` to readings ``(*B, m)``.
        value, noise: ``(m,)``, less the map's offset; standard deviations.
    """

    frame: int
    which: Tensor
    read: Sparse
    value: Tensor
    noise: Tensor


@dataclass(frozen=True)
class Chain:
    """Windows over a horizon.

    Arguments:
        layout: of a window; parts in time have ``time`` as their first axis.
        memory: frames that neighbouring windows share.
        horizon: frames of the long state.
        history: whether the first window begins with ``memory`` frames before the horizon, which are known.

    Raises:
        ValueError: no part in time, parts of unequal length, a memory that is no part of a window.
    """

    layout: Layout
    memory: int
    horizon: int
    history: bool = False

    def __post_init__(self) -> None:
        sizes = {k: self.layout.variables[k].shape[0] for k in self.moving}
        odd = [k for k, v in self.layout.variables.items() if "time" in v.dims[1:]]
        if len(set(sizes.values())) != 1 or odd:
            raise ValueError(f"got {self.layout} with frames {sizes}; expected parts whose first axis is called time, "
                             "of equal length: a model trained on windows, sciencegen train DATA --window 8")
        if not 1 <= self.memory < self.length:
            raise ValueError(f"got a memory of {self.memory} frames for windows of {self.length}; expected 1 to "
                             f"{self.length - 1}")
        if self.horizon < 1:
            raise ValueError(f"got a horizon of {self.horizon} frames; expected 1 or more")

    @property
    def moving(self) -> list[str]:
        """Parts in time."""
        return [k for k, v in self.layout.variables.items() if v.dims[:1] == ("time",)]

    @property
    def length(self) -> int:
        """Frames of a window."""
        return self.layout.variables[self.moving[0]].shape[0]

    @property
    def before(self) -> int:
        """Frames of the long state that are before the horizon."""
        return self.memory if self.history else 0

    @property
    def count(self) -> int:
        """How many windows there are."""
        stride = self.length - self.memory
        return 1 + max(-(-(self.before + self.horizon - self.length) // stride), 0)

    @cached_property
    def long(self) -> Layout:
        """The layout of the long state: from the first frame of the first window to the last of the last."""
        return framed(self.layout, self.length + (self.count - 1) * (self.length - self.memory), -self.before)

    @cached_property
    def known(self) -> View:
        """Of a window what it shares with the one before: its first frames, and all that has no time axis."""
        return self._edge(slice(0, self.memory))

    @cached_property
    def carried(self) -> View:
        """Of a window what it shares with the next one: its last frames, and all that has no time axis."""
        return self._edge(slice(self.length - self.memory, self.length))

    def rows(self, index: int) -> Tensor:
        """Coordinates of a window in the long state, ``(n,)``."""
        start = index * (self.length - self.memory)
        return self._rows(start, start + self.length)

    def places(self, frames: int) -> Tensor:
        """Coordinates of the first ``frames`` of the horizon in the long state."""
        return self._rows(self.before, self.before + frames)

    @cached_property
    def frames(self) -> Tensor:
        """Of each coordinate of the long state its frame, from 0 on at the horizon's first; -1 without a time axis."""
        found = torch.full((self.long.size,), -1)
        for name in self.moving:
            index = self.long[name].index
            steps = torch.arange(len(index)) - self.before
            found[index.reshape(len(index), -1)] = steps[:, None]
        return found

    def sights(self, measure: Measurement, frames: int, value: Tensor, noise: Tensor) -> list[list[Sight]]:
        """What each window sees, frame by frame: each reading once, where all that it touches is known.

        ``measure`` is of the first ``frames`` of the horizon.
        """
        found, offset = measure.of(framed(self.layout, frames))
        index, touched = self.places(frames)[found.index], found.weight != 0
        frame = torch.where(touched, self.frames[index], -1).amax(-1).clamp_min(0)
        return [list(self._window(k, index, found.weight, frame, value.double() - offset, noise.double()))
                for k in range(self.count)]

    def _window(self, k: int, index: Tensor, weight: Tensor, frame: Tensor, value: Tensor, noise: Tensor
                ) -> Iterator[Sight]:
        rows = self.rows(k)
        place = torch.zeros(self.long.size, dtype=torch.long).index_copy(0, rows, torch.arange(len(rows)))
        for at in self.fresh(k):
            which = (frame == at).nonzero()[:, 0]
            if len(which):
                near = Sparse(place[index[which]] * (weight[which] != 0), weight[which], len(rows))
                yield Sight(at, which, near, value[which], noise[which])

    def fresh(self, index: int) -> range:
        """Frames of the horizon that are new in a window."""
        stride = self.length - self.memory
        start = 0 if not index else index * stride + self.memory - self.before
        return range(start, min(index * stride + self.length - self.before, self.horizon))

    def _edge(self, frames: slice) -> View:
        view: View | None = None
        for name in self.layout.variables:
            part = self.layout[name][frames] if name in self.moving else self.layout[name]
            view = part if view is None else view & part
        return view

    def _rows(self, start: int, stop: int) -> Tensor:
        return torch.cat([(self.long[name][start:stop] if name in self.moving else self.long[name]).rows
                          for name in self.layout.variables])


def framed(layout: Layout, frames: int, first: int = 0) -> Layout:
    """The same layout with so many frames in time, in even steps, of which the ``first`` one is counted from its own.

    ValueError where units differ from frame to frame, or times are not even.
    """
    return Layout(**{name: _framed(variable, frames, first) if variable.dims[:1] == ("time",) else variable
                     for name, variable in layout.variables.items()})


def _framed(variable: Variable, frames: int, first: int) -> Variable:
    wide = variable.lengthened(max(frames, variable.shape[0]))
    coords = dict(wide.coords)
    if "time" in coords:
        coords["time"] = _steps(coords["time"], frames, first)
    return replace(wide, shape=(frames, *wide.shape[1:]), coords=coords,
                   **{k: v.narrow(0, 0, 1) if torch.is_tensor(v) and v.ndim == len(wide.shape) else v
                      for k, v in (("loc", wide.loc), ("scale", wide.scale))})


def _steps(time: object, frames: int, first: int) -> xarray.Variable:
    attrs = dict(getattr(time, "attrs", {}))
    values = np.asarray(time, float)
    step = np.diff(values)
    if not np.allclose(step, step[0], rtol=1e-3):
        raise ValueError(f"got times of a window {step.min():g} to {step.max():g} apart; expected even steps")
    return xarray.Variable("time", values[0] + step.mean() * (first + np.arange(frames)), attrs)
