r"""Roll-outs: window after window, each drawn where the clean end of the last is known.

A window prior is the law of ``L`` frames. Where the frames are a Markov chain of an order up to the memory ``m``, the
law of any number of frames is the product of its conditionals, and drawing each window given the last ``m`` frames
before it is exact: ancestral sampling of a junction tree, "Probabilistic Networks and Expert Systems" (Cowell et al.,
1999), https://doi.org/10.1007/b97670, ch. 6. (To draw all frames at once from windows less their overlaps is not: what
is a chain when clean is none at a noise level, and past one window such a forecast falls back to climatology.)

What has no time axis, a parameter, is known from the start, or is drawn in the first window and then held. What is
known ahead, a forcing, is known in all frames of a window. Frames behind the horizon, which are cut away, are told
the last known forcing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from ..energy import Ahead
from ..layout import Layout, View

__all__ = ["Frames", "Rollout", "Window"]

LARGEST = 2**22  # numbers in the states that are drawn at once


@dataclass(frozen=True)
class Frames:
    """Parts of a window by what they are to a forecast: drawn, known ahead, or the same at all times.

    Arguments:
        layout: of a window, ``L`` frames of each part in time.
        forced: parts in time that are known ahead.

    Raises:
        ValueError: no part in time, one whose first axis is not time, parts of unequal length, or units that differ
            from frame to frame.
    """

    layout: Layout
    forced: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        variables = self.layout.variables
        sizes = {k: variables[k].shape[0] for k in self.moving}
        if len(set(sizes.values())) != 1 or not self.drawn or any("time" in v.dims[1:] for v in variables.values()):
            raise ValueError(f"got {self.layout} with {sizes} frames, {list(self.forced)} known ahead; expected parts "
                             "whose first axis is called time (Variable(..., dims=('time', ...))), of equal length, "
                             "at least one of them not known ahead")
        for k in self.moving:
            units = (variables[k].flat(u).reshape(self.length, -1) for u in (variables[k].loc, variables[k].scale))
            if not all(torch.allclose(u, u[:1].expand_as(u)) for u in units):
                raise ValueError(f"got units of '{k}' that differ from frame to frame; expected one for all")

    @property
    def moving(self) -> tuple[str, ...]:
        """Parts in time."""
        return tuple(k for k, v in self.layout.variables.items() if v.dims[:1] == ("time",))

    @property
    def drawn(self) -> tuple[str, ...]:
        """Parts in time that are forecast."""
        return tuple(k for k in self.moving if k not in self.forced)

    @property
    def fixed(self) -> tuple[str, ...]:
        """Parts that are the same at all times."""
        return tuple(k for k in self.layout.variables if k not in self.moving)

    @property
    def length(self) -> int:
        """Frames of a window."""
        return self.layout.variables[self.moving[0]].shape[0]

    def view(self, memory: int, fixed: Sequence[str]) -> View:
        """What is known of a window: its first ``memory`` frames, all of its forcings, and some of what is fixed."""
        parts = [*(self.layout[k][:memory] for k in self.drawn), *(self.layout[k] for k in (*self.forced, *fixed))]
        return reduce(lambda a, b: a & b, parts)


@dataclass(frozen=True)
class Window:
    """One window of a roll-out: how many of its frames are told, the view of all that is known, and the draw."""

    memory: int
    view: View
    ahead: Ahead

    def __call__(self, known: Tensor, noise: Any) -> Tensor:
        """States ``(M, d)``, of which ``known`` has what is known in its place; some rows at once."""
        rows, rest = self.view.rows.to(known.device), self.view.rest.to(known.device)
        some = max(LARGEST // known.shape[-1], 1)
        drawn = [self.ahead(value, part) for value, part in zip(known[:, rows].split(some), noise.split(some))]
        return known.index_copy(-1, rest, torch.cat(drawn))


@dataclass(frozen=True)
class Rollout:
    """Windows from a history to a horizon.

    Arguments:
        frames: the parts of a window.
        draw: how what is not known of a window is drawn, by the view of what is; ValueError or TypeError where that
            cannot be.
        memory: frames that a window is told of the one before, the first one as many as there are up to that.
        strict: whether it has to be that many; else as many as a window can be told.
        dtype: of states.
    """

    frames: Frames
    draw: Callable[[View], Ahead]
    memory: int
    strict: bool = True
    dtype: torch.dtype = torch.float32

    def windows(self, history: int, horizon: int, fixed: Sequence[str]) -> list[Window]:
        """All windows; ValueError where the prior cannot be told what is known."""
        length, most = self.frames.length, min(self.memory, self.frames.length - 1)
        first = self._window(min(history, most), fixed, history)
        left = horizon - (length - first.memory)
        if left <= 0:
            return [first]
        same = first.memory == most and set(fixed) == set(self.frames.fixed)
        more = first if same else self._window(most, self.frames.fixed, history)
        return [first, *[more] * -(-left // (length - more.memory))]

    def _window(self, most: int, fixed: Sequence[str], history: int) -> Window:
        refused: Exception | None = None
        for memory in range(most, most - 1 if self.strict else 0, -1):
            view = self.frames.view(memory, fixed)
            try:
                return Window(memory, view, self.draw(view))
            except (TypeError, ValueError) as error:
                refused = refused or error
        least = next((m for m in range(most + 1, self.frames.length) if self._knows(m, fixed)), None)
        raise ValueError(f"got a history of {history} frames" + (f" and {', '.join(fixed)}" if fixed else "") + (
            f"; expected at least {least} frames, of which the prior was trained to be told" if least else
            f", which the prior was not trained to be told: {refused}")) from refused

    def _knows(self, memory: int, fixed: Sequence[str]) -> bool:
        try:
            self.draw(self.frames.view(memory, fixed))
        except (TypeError, ValueError):
            return False
        return True

    def __call__(self, windows: Sequence[Window], start: Mapping[str, Tensor], noise: Any
                 ) -> Iterator[dict[str, Tensor]]:
        """After each window its new frames and what is fixed, in physical units, ``{part: (M, ...)}``.

        Arguments:
            start: physical values ``(M, frames, *rest)`` or, of what is fixed, ``(M, *shape)``.
            noise: :class:`Streams`, one a row, or what has their ``seeds`` and a ``branch`` for each window.
        """
        layout, length = self.frames.layout, self.frames.length
        state, first = noise.seeds.new_zeros(len(noise.seeds), layout.size, dtype=self.dtype), windows[0].memory
        at = start[self.frames.drawn[0]].shape[1] - first
        for k in self.frames.drawn:
            state = self._put(state, k, start[k][:, -first:], slice(first))
        for k in set(self.frames.fixed) & set(start):
            state = self._put(state, k, start[k], slice(None))
        for index, window in enumerate(windows):
            state = self._carried(state, window.memory) if index else state
            for k in self.frames.forced:
                frames = torch.arange(at, at + length, device=state.device).clamp_max(start[k].shape[1] - 1)
                state = self._put(state, k, start[k][:, frames], slice(None))
            state = window(state, noise.branch(index))
            parts = layout.unpack(state)
            yield {k: v[:, window.memory:] if k in self.frames.moving else v for k, v in parts.items()}
            at += length - window.memory

    def _put(self, state: Tensor, name: str, value: Tensor, frames: slice) -> Tensor:
        view, layout = self.frames.layout[name], self.frames.layout
        rows = (view[frames] if view.event else view).rows
        loc, scale = (unit.to(rows.device)[rows].to(value) for unit in (layout.loc, layout.scale))
        value = (value.reshape(len(value), -1) - loc) / scale
        return state.index_copy(-1, rows.to(state.device), value.to(state).expand(len(state), -1))

    def _carried(self, state: Tensor, memory: int) -> Tensor:
        """The last ``memory`` frames as the first ones."""
        for k in self.frames.drawn:
            view = self.frames.layout[k]
            old, new = (v.rows.to(state.device) for v in (view[self.frames.length - memory:], view[:memory]))
            state = state.index_copy(-1, new, state[:, old])
        return state
