r"""A residual convolutional network for fields on a grid, at one resolution, and numbers beside them.

Fields are channels (:mod:`sciencegen.nets.places`), the frames of a window among them. Every layer sees the whole grid:
"Deep Residual Learning for Image Recognition" (He et al., 2016), https://arxiv.org/abs/1512.03385, without any
normalisation, whose statistics a roll-out would carry from frame to frame. Where what is asked for is local, as the
next frame of a field, it learns more in equal time than a U-Net (:mod:`sciencegen.nets.fields`); what happens further
away than its convolutions reach it cannot know.

Points of a patch may be channels from the start: where a field is smooth on its grid, half the points along an axis,
of twice as many numbers each, see twice as far at half the cost. Each axis is padded in its own way: where ends meet,
with what is there, so that shifts by whole patches commute with the network exactly; at walls, with zeros, and a ramp
from -1 to 1 says where a point is. Noise level and numbers *modulate*: they scale and shift the features of every
block.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .fields import Numbers, folded, ramp, unfolded, wrap
from .places import Places

__all__ = ["FieldResNet"]

READ = 32  # features that numbers are read off
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class FieldResNet(nn.Module):
    """Fields and numbers in, fields and numbers out, ``(u, c, keep) -> (N, n)``; zero when untrained.

    Arguments:
        shapes: of the parts, in the order of the state.
        axes: for each part, which axis of the grid each of its axes is; -1 for channels. A part without is of numbers.
        grid: sizes of the grid's one to three axes.
        periodic: for each axis of the grid, whether its ends meet.
        width: features.
        blocks: of two convolutions each.
        kernel: points that a convolution sees along an axis; odd.
        patch: points along the side of a patch.
        features: numbers that tell a block the noise level and the state's numbers.
        vector: numbers of noise for the whole state, which come with the noise level (:class:`Stepper`'s).
        dropout: share of the features between a block's convolutions that a training step leaves out.

    Raises:
        ValueError: a part that does not fit the grid; an even kernel; an axis that is not made of whole patches.
    """

    def __init__(self, shapes: Sequence[Sequence[int]], axes: Sequence[Sequence[int]], grid: Sequence[int],
                 periodic: Sequence[bool], width: int = 64, blocks: int = 4, kernel: int = 5, patch: int = 1,
                 features: int = 64, vector: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"got kernel={kernel}; expected an odd number of points, as 3 or 5")
        if any(n % patch for n in grid):
            raise ValueError(f"got patch={patch} for a grid of {tuple(grid)}; expected what divides its sizes")
        self.places, self.periodic = Places(shapes, axes, grid), tuple(map(bool, periodic))
        self.walls = [axis for axis, around in enumerate(self.periodic) if not around]
        self.numbers = Numbers(self.places.numbers, READ, features, vector)
        convolution = CONVOLUTIONS[len(grid) - 1]

        def layer(inputs: int, outputs: int) -> nn.Module:
            made = convolution(inputs, outputs, kernel, padding=kernel // 2)
            wrap(made, self.periodic)
            return made

        self.patch, whole = (patch,) * len(grid), patch ** len(grid)
        self.out = self.places.channels * whole
        self.enter = layer((2 * self.places.channels + len(self.walls)) * whole, width)
        self.blocks = nn.ModuleList(ResidualBlock(layer(width, width), layer(width, width), features, dropout)
                                    for _ in range(blocks))
        self.leave = layer(width, self.out + (READ if self.places.numbers else 0))
        nn.init.zeros_(self.leave.weight[: self.out])
        nn.init.zeros_(self.leave.bias[: self.out])

    def forward(self, u: Tensor, c: Tensor, keep: Tensor) -> Tensor:
        """``u, keep (N, n)``, ``c (N, 1 + vector)`` to ``(N, n)``."""
        (fields, numbers), (there, known) = self.places.apart(u), self.places.apart(keep)
        level = self.numbers.tell(c, numbers, known)
        h = self.enter(folded(torch.cat([fields, there, *(ramp(fields, axis) for axis in self.walls)], 1), self.patch))
        for block in self.blocks:
            h = block(h, level)
        image, read = self.leave(h).tensor_split([self.out], 1)
        return self.places.together(unfolded(image, self.patch), self.numbers.say(read.flatten(2).mean(-1), level))


class ResidualBlock(nn.Module):
    """``h + W2 gelu((1 + a) W1 h + b)``, with scale ``a`` and shift ``b`` by the noise level and the numbers."""

    def __init__(self, first: nn.Module, second: nn.Module, features: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.first, self.second = first, second
        width = first.weight.shape[0]
        self.modulate, self.dropout = nn.Linear(features, 2 * width), nn.Dropout(dropout)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)

    def forward(self, h: Tensor, level: Tensor) -> Tensor:
        """``h (N, width, *grid)``, ``level (N, features)`` to the shape of ``h``."""
        told = self.modulate(level)
        scale, shift = told.reshape(*told.shape, *[1] * (h.ndim - 2)).chunk(2, 1)
        return h + self.second(self.dropout(functional.gelu((1 + scale) * self.first(h) + shift)))
