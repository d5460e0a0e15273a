r"""A U-Net for states of several parts: fields on nested grids, and numbers that belong to all of them.

All parts meet as the channels of one image on the coarsest grid: a field on a finer one is folded, ``k x k`` pixels
into ``k^2`` channels, so that nothing is lost; a number is a constant channel, and leaves as the mean of one, so that
what is an integral over the fields (a force) can be put together from all over the image. In between is azula's U-Net,
as in :mod:`unet`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from azula.nn.unet import UNet
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from .mlp import Fourier

__all__ = ["PartsUNet"]


class PartsUNet(nn.Module):
    """Fields and numbers in, fields and numbers out, ``(u, c, keep) -> (N, n)``; zero when untrained.

    Arguments:
        shapes: of the parts, in the order of the state: fields ``(..., rows, columns)``, numbers ``()`` or ``(m,)``.
        grid: rows and columns of the image in which they meet; those of every field are multiples of it.
        channels: of each depth of the U-Net.
        blocks: residual blocks of each depth, on the way down and again on the way up.
        features: numbers that tell a block the noise level.

    Raises:
        ValueError: a field that does not fold onto the grid, a grid that cannot be halved that often.
    """

    def __init__(self, shapes: Sequence[Sequence[int]], grid: Sequence[int] = (16, 16),
                 channels: Sequence[int] = (64, 80, 96), blocks: Sequence[int] = (1, 2, 2), features: int = 64) -> None:
        super().__init__()
        self.grid, self.shapes = tuple(grid), [tuple(shape) for shape in shapes]
        if any(n % 2 ** (len(channels) - 1) for n in self.grid):
            raise ValueError(f"got a grid of {grid}; expected multiples of {2 ** (len(channels) - 1)}, to be halved "
                             f"{len(channels) - 1} times")
        self.folds = [_fold(shape, self.grid) for shape in self.shapes]
        self.sizes = [math.prod(shape) for shape in self.shapes]
        widths = [size // math.prod(self.grid) if fold else size for size, fold in zip(self.sizes, self.folds)]
        self.widths, total = widths, sum(widths)
        self.level = nn.Sequential(Fourier(features), nn.Linear(features, features), nn.SiLU())
        self.body = UNet(2 * total, total, hid_channels=tuple(channels), hid_blocks=tuple(blocks),
                         mod_features=features, norm="group")
        leave = self.body.ascent[-1][-1]
        nn.init.zeros_(leave.weight)
        nn.init.zeros_(leave.bias)

    def forward(self, u: Tensor, c: Tensor, keep: Tensor) -> Tensor:
        """``u, keep (N, n)``, ``c (N, 1)`` to ``(N, n)``."""
        return self._state(self.body(torch.cat([self._image(u), self._image(keep)], 1), self.level(c)))

    def _image(self, u: Tensor) -> Tensor:
        parts = []
        for part, shape, fold, width in zip(u.split(self.sizes, -1), self.shapes, self.folds, self.widths):
            if fold:
                parts.append(pixel_unshuffle(part.reshape(len(u), -1, *shape[-2:]), fold))
            else:
                parts.append(part[..., None, None].expand(-1, width, *self.grid))
        return torch.cat(parts, 1)

    def _state(self, image: Tensor) -> Tensor:
        return torch.cat([pixel_shuffle(part, fold).flatten(1) if fold else part.mean((-2, -1))
                          for part, fold in zip(image.split(self.widths, 1), self.folds)], -1)


def _fold(shape: tuple[int, ...], grid: tuple[int, ...]) -> int:
    """Pixels of a field along a pixel of the grid; 0 for numbers."""
    if len(shape) < 2:
        return 0
    fold = shape[-1] // grid[-1]
    if not fold or shape[-2:] != tuple(fold * n for n in grid):
        raise ValueError(f"got a field of {shape} on a grid of {grid}; expected rows and columns that are the same "
                         "multiple of the grid's")
    return fold
