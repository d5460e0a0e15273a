r"""A U-Net for states of several parts: fields on nested grids, and numbers that belong to all of them.

All parts meet as the channels of one image on the coarsest grid: a field on a finer one is folded, ``k x k`` pixels
into ``k^2`` channels, so that nothing is lost; a number is a constant channel, and leaves as the mean of one, so that
what is an integral over the fields (a force) can be put together from all over the image. In between is azula's U-Net,
as in :mod:`unet`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from azula.nn.unet import UNet
from torch import Tensor, nn

from .mlp import LevelFeatures
from .places import Places

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
        if any(n % 2 ** (len(channels) - 1) for n in grid):
            raise ValueError(f"got a grid of {grid}; expected multiples of {2 ** (len(channels) - 1)}, to be halved "
                             f"{len(channels) - 1} times")
        axes = [(*[-1] * (len(shape) - 2), 0, 1) if len(shape) > 1 else [-1] * len(shape) for shape in shapes]
        self.places = Places(shapes, axes, grid, loose=False)
        total = self.places.channels
        self.level = nn.Sequential(LevelFeatures(features), nn.Linear(features, features), nn.SiLU())
        self.body = UNet(2 * total, total, hid_channels=tuple(channels), hid_blocks=tuple(blocks),
                         mod_features=features, norm="group")
        leave = self.body.ascent[-1][-1]
        nn.init.zeros_(leave.weight)
        nn.init.zeros_(leave.bias)

    def forward(self, u: Tensor, c: Tensor, keep: Tensor) -> Tensor:
        """``u, keep (N, n)``, ``c (N, 1)`` to ``(N, n)``."""
        (image, nothing), (there, _) = self.places.apart(u), self.places.apart(keep)
        return self.places.together(self.body(torch.cat([image, there], 1), self.level(c)), nothing)
