r"""A U-Net for states that are fields on a grid: azula's, with the interface of the package's networks.

The state's fields are the channels of an image. Blocks of ``patch x patch`` pixels become channels first, which keeps
every pixel and costs a quarter at ``patch = 2``; then comes the U-Net of "U-Net: Convolutional Networks for Biomedical
Image Segmentation" (Ronneberger et al., 2015), https://arxiv.org/abs/1505.04597, in azula's form
(https://github.com/probabilists/azula), whose blocks are modulated by the noise level. Padding is with zeros, so that
a network can tell where the walls are, or periodic where the fields are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from azula.nn.unet import UNet
from torch import Tensor, nn

from .mlp import LevelFeatures

__all__ = ["GridUNet"]


class GridUNet(nn.Module):
    """Fields in, fields out, ``(u, c, keep) -> (N, n)`` with ``n = fields * rows * columns``; zero when untrained.

    Arguments:
        shape: ``(fields, rows, columns)`` of a state.
        channels: of each depth of the U-Net.
        blocks: residual blocks of each depth, on the way down and again on the way up.
        patch: pixels along the side of a patch.
        features: numbers that tell a block the noise level.
        periodic: whether opposite sides touch.

    Raises:
        ValueError: rows or columns cannot be halved that often.
    """

    def __init__(self, shape: Sequence[int], channels: Sequence[int] = (48, 96, 128),
                 blocks: Sequence[int] = (1, 2, 2), patch: int = 2, features: int = 64, periodic: bool = False) -> None:
        super().__init__()
        fields, rows, columns = self.shape = tuple(shape)
        coarsest = patch * 2 ** (len(channels) - 1)
        if rows % coarsest or columns % coarsest:
            raise ValueError(f"got a grid of {rows} x {columns}; expected multiples of {coarsest}: patches of {patch} "
                             f"pixels, halved {len(channels) - 1} times")
        self.level = nn.Sequential(LevelFeatures(features), nn.Linear(features, features), nn.SiLU())
        self.split, self.join = nn.PixelUnshuffle(patch), nn.PixelShuffle(patch)
        self.body = UNet(2 * fields * patch**2, fields * patch**2, hid_channels=tuple(channels),
                         hid_blocks=tuple(blocks), mod_features=features, norm="group", periodic=periodic)
        leave = self.body.ascent[-1][-1]
        nn.init.zeros_(leave.weight)
        nn.init.zeros_(leave.bias)

    def forward(self, u: Tensor, c: Tensor, keep: Tensor) -> Tensor:
        """``u, keep (N, n)``, ``c (N, 1)`` to ``(N, n)``."""
        image = torch.cat([part.reshape(-1, *self.shape) for part in (u, keep)], dim=1)
        return self.join(self.body(self.split(image), self.level(c))).reshape(u.shape)
