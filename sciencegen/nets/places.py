"""How a flat state comes apart: fields as channels on the points of a structure, and numbers beside them.

The structure has axes, as a grid's x and y, the nodes of a mesh or the members of a set. Each axis of a part is one of
them, or counts channels. A field on a grid that is finer by a whole factor is folded: ``k`` points along an axis become
``k`` channels, so that nothing is lost. A field that lacks an axis is the same along it, and leaves as the mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["Places"]


class Places:
    """The parts of a state by channels: ``apart`` and its inverse ``together``.

    Arguments:
        shapes: of the parts, in the order of the state.
        axes: for each part, which axis of the structure each of its axes is; -1 for channels.
        sizes: of the axes of the structure.
        loose: whether parts without an axis of the structure are numbers beside it; else they are the same all over it.

    Raises:
        ValueError: a part that does not fit the structure.
    """

    def __init__(self, shapes: Sequence[Sequence[int]], axes: Sequence[Sequence[int]], sizes: Sequence[int],
                 loose: bool = True) -> None:
        self.sizes = tuple(sizes)
        self.parts = [_Part(tuple(shape), tuple(own), self.sizes, loose)
                      for shape, own in zip(shapes, axes, strict=True)]
        self.counts = [math.prod(shape) for shape in shapes]
        self.channels = sum(part.channels for part in self.parts if part.placed)
        self.numbers = sum(n for n, part in zip(self.counts, self.parts) if not part.placed)

    def apart(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """States ``(N, n)`` to fields ``(N, channels, *sizes)`` and numbers ``(N, numbers)``."""
        pieces = u.split(self.counts, -1)
        fields = [part.spread(v) for v, part in zip(pieces, self.parts) if part.placed]
        numbers = [v for v, part in zip(pieces, self.parts) if not part.placed]
        return torch.cat(fields, 1), torch.cat([*numbers, u[:, :0]], -1)

    def together(self, fields: Tensor, numbers: Tensor) -> Tensor:
        """The inverse of :meth:`apart`."""
        images = iter(fields.split([part.channels for part in self.parts if part.placed], 1))
        loose = iter(numbers.split([n for n, part in zip(self.counts, self.parts) if not part.placed], -1))
        return torch.cat([part.gather(next(images)) if part.placed else next(loose) for part in self.parts], -1)


class _Part:
    """One part: its axes on the structure with their folds, in the order in which they are moved."""

    def __init__(self, shape: tuple[int, ...], axes: tuple[int, ...], sizes: tuple[int, ...], loose: bool) -> None:
        placed = [a for a in axes if a >= 0]
        fits = len(axes) == len(shape) and len(set(placed)) == len(placed) and all(a < len(sizes) for a in placed)
        if not fits or any(a >= 0 and (not n or n % sizes[a]) for n, a in zip(shape, axes)):
            raise ValueError(f"got a part of shape {shape} whose axes are {axes} of a structure of {sizes}; expected "
                             "one for each axis, none twice, and sizes that are multiples of the structure's")
        self.placed, self.full = bool(placed) or not loose, sizes
        split: list[int] = []  # sizes of the part's axes, those on the structure as (points, fold)
        points, folds, rest = {}, [], []
        for n, a in zip(shape, axes):
            if a < 0:
                rest.append(len(split))
                split.append(n)
            else:
                points[a] = len(split)
                folds.append(len(split) + 1)
                split += [sizes[a], n // sizes[a]]
        self.split = tuple(split)
        self.order = [*rest, *folds, *(points[a] for a in sorted(points))]
        self.own = tuple(n if a in points else 1 for a, n in enumerate(sizes))
        self.channels = math.prod(split[i] for i in (*rest, *folds))
        self.missing = [2 + a for a in range(len(sizes)) if a not in points]

    def spread(self, u: Tensor) -> Tensor:
        """``(N, n)`` to ``(N, channels, *sizes)``."""
        moved = u.reshape(-1, *self.split).permute(0, *(1 + i for i in self.order))
        return moved.reshape(len(u), self.channels, *self.own).expand(-1, -1, *self.full)

    def gather(self, image: Tensor) -> Tensor:
        """The inverse of :meth:`spread`, by the mean along axes that the part lacks."""
        image = image.mean(self.missing, keepdim=True) if self.missing else image
        moved = image.reshape(len(image), *(self.split[i] for i in self.order))
        back = sorted(range(len(self.order)), key=self.order.__getitem__)
        return moved.permute(0, *(1 + i for i in back)).reshape(len(image), -1)
