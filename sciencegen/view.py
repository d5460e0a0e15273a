"""Parts of a state as lists of its coordinates, so that composing energies needs one idea only.

A :class:`View` reads coordinates of a flat state, ``x -> S x``, and its adjoint puts them back, ``v -> S^T v``. Windows
in time, pairs of bodies and parts side by side are all views, and views of views.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

__all__ = ["View", "gather", "scatter"]


class View:
    """Coordinates of a state, ``x -> S x``: index of shape ``(*copies, *event)``.

    Copies are rows that one energy scores independently (windows, pairs); the event is what it scores.
    """

    def __init__(self, index: Tensor, copies: int, size: int, name: str) -> None:
        self.index, self.copies, self.size, self.name = index, copies, size, name

    @property
    def event(self) -> tuple[int, ...]:
        """Shape of one copy; :meth:`__call__` flattens it."""
        return tuple(self.index.shape[self.copies:])

    @property
    def rows(self) -> Tensor:
        """The index with its event axes flattened, ``(*copies, n)``."""
        return self.index.reshape(*self.index.shape[: self.copies], -1)

    @property
    def whole(self) -> bool:
        """Whether it is the state itself: every coordinate once, in order, without copies."""
        return not self.copies and torch.equal(self.rows, torch.arange(self.size))

    @cached_property
    def rest(self) -> Tensor:
        """The coordinates that are not in it, ``(d - n,)`` rising."""
        free = torch.ones(self.size, dtype=torch.bool)
        free[self.rows] = False
        return free.nonzero()[:, 0]

    def __call__(self, x: Tensor) -> Tensor:
        """``(*B, d) -> (*B, *copies, n)``."""
        if x.shape[-1] != self.size:
            raise ValueError(f"got a state of {x.shape[-1]} numbers; expected {self.size}, the layout of '{self}'")
        return gather(x, self.rows)

    def adjoint(self, v: Tensor) -> Tensor:
        """``(*B, *copies, n) -> (*B, d)``: each number back to its coordinate, summed over copies."""
        return scatter(v, self.rows, self.size)

    def __getitem__(self, key: Any) -> View:
        """Slices of the variable's own axes (never of its copies)."""
        key = key if isinstance(key, tuple) else (key,)
        index = self.index[(slice(None),) * self.copies + key]
        return View(index, self.copies, self.size, f"{self._bracketed}[{', '.join(map(_slice_text, key))}]")

    def windows(self, length: int, stride: int, axis: int = 0, periodic: bool = False) -> View:
        """Copies along ``axis``: frames ``[k stride, k stride + length)``; they must end with the last frame.

        ``periodic`` goes on with the first frame after the last one; all of them must then be whole strides.
        """
        frames, last = self._along(axis, "windows"), 0 if periodic else length
        if not (0 < length <= frames and stride > 0 and (frames - last) % stride == 0):
            ends = ("all divisible by stride, so that the windows go round" if periodic else
                    "(frames - length) divisible by stride, so that the windows end with the last frame")
            raise ValueError(f"got windows({length}, {stride}) of {frames} frames; expected 0 < length <= {frames} and "
                             f"{ends}")
        starts = torch.arange(0, frames - max(last - 1, 0), stride)
        pick = (starts[:, None] + torch.arange(length)) % frames
        return self._copy(pick, axis, "windows", length, stride, *(("periodic",) if periodic else ()))

    def patches(self, length: int | tuple[int, int], stride: int | tuple[int, int], axes: tuple[int, int] = (0, 1),
                periodic: bool = True) -> View:
        """Copies along two axes, ``(rows, columns)`` of them: windows of both, by default round their ends.

        ``length`` and ``stride`` are one number, or one for each axis.
        """
        lengths, strides = ((v, v) if isinstance(v, int) else v for v in (length, stride))
        first, second = (self._along(axis, "patches") and axis for axis in axes)
        rows = self.windows(lengths[0], strides[0], first, periodic)
        return rows.windows(lengths[1], strides[1], second, periodic)

    def pairs(self, axis: int = 0) -> View:
        """Copies along ``axis``: every unordered pair ``i < j`` of its entries, ``n (n - 1) / 2`` of them."""
        count = self._along(axis, "pairs")
        if count < 2:
            raise ValueError(f"got pairs of {count} entries; expected at least 2 along axis {axis} of '{self}'")
        return self._copy(torch.combinations(torch.arange(count)), axis, "pairs")

    def each(self, axis: int = 0) -> View:
        """Copies along ``axis``: one per entry; the event then lacks that axis."""
        return self._copy(torch.arange(self._along(axis, "each")), axis, "each")

    def _along(self, axis: int, what: str) -> int:
        if not 0 <= axis < len(self.event):
            raise ValueError(f"got {what} of axis {axis} of '{self}', whose copies have {len(self.event)} axes; "
                             "expected one of them, counted from 0")
        return self.event[axis]

    def _copy(self, pick: Tensor, axis: int, what: str, *arguments: int | str) -> View:
        """Entries ``pick (copies, *kept)`` of an axis: the first axis of ``pick`` joins the copies."""
        at = self.copies + axis
        index = self.index.movedim(at, 0)[pick].movedim(0, pick.ndim - 1 + self.copies)
        kept = tuple(range(pick.ndim - 1))
        index = index.movedim(kept, tuple(at + 1 + i for i in kept))
        text = ",".join(map(str, arguments + ((f"axis={axis}",) if axis else ())))
        return View(index, self.copies + 1, self.size, f"{self._bracketed}.{what}({text})")

    def __and__(self, other: View) -> View:
        """Both, side by side in one flat event; a view without copies is shared by all copies of the other."""
        if self.size != other.size:
            raise ValueError(f"got views of states of {self.size} and {other.size} numbers; expected one layout")
        a, b = self.rows, other.rows
        lead = max(a.shape[:-1], b.shape[:-1], key=len)
        if any(r.ndim > 1 and r.shape[:-1] != lead for r in (a, b)):
            raise ValueError(f"got {tuple(a.shape[:-1])} and {tuple(b.shape[:-1])} copies in '{self} & {other}'; "
                             "expected equal copies, or none on one side")
        index = torch.cat([r.expand(*lead, r.shape[-1]) for r in (a, b)], dim=-1)
        return View(index, len(lead), self.size, f"{self} & {other}")

    @property
    def _bracketed(self) -> str:
        return f"({self.name})" if " & " in self.name else self.name

    def __repr__(self) -> str:
        return self.name


def gather(x: Tensor, rows: Tensor) -> Tensor:
    """Coordinates ``rows (*copies, n)`` of ``x (*B, d)``: ``(*B, *copies, n)``."""
    return x[..., rows.to(x.device)]


def scatter(v: Tensor, rows: Tensor, size: int) -> Tensor:
    """The adjoint of :func:`gather`: ``(*B, *copies, n) -> (*B, size)``, summed where ``rows`` repeat."""
    batch, rows = v.shape[: v.ndim - rows.ndim], rows.to(v.device)
    return v.new_zeros(*batch, size).index_add(-1, rows.reshape(-1), v.reshape(*batch, rows.numel()))


def _slice_text(key: Any) -> str:
    if not isinstance(key, slice):
        return "..." if key is Ellipsis else str(key)
    ends = ":".join("" if k is None else str(k) for k in (key.start, key.stop))
    return ends if key.step is None else f"{ends}:{key.step}"
