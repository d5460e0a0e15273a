r"""A U-Net for fields on a grid of one, two or three axes, and numbers beside them.

Fields are channels (:mod:`sciencegen.nets.places`), windows of time among them. Patches of pixels become channels
first, which costs a quarter at a side of 2; between lies azula's U-Net, "U-Net: Convolutional Networks for Biomedical
Image Segmentation" (Ronneberger et al., 2015), https://arxiv.org/abs/1505.04597. Each axis is padded in its own way:
where ends meet, with what is there, so that shifts by whole coarse cells commute with the network exactly; at walls,
with zeros, and a ramp from -1 to 1 says where a point is. A size that cannot be halved often enough is padded at walls;
a periodic axis of such a size keeps its resolution.

Numbers *modulate*: with the noise level they scale and shift the features of every block, as in "A Style-Based
Generator Architecture" (Karras et al., 2019), https://arxiv.org/abs/1812.04948; what a network says of them is read
off the mean of its last features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from azula.nn.unet import UNet
from torch import Tensor, nn
from torch.nn import functional

from .mlp import LevelFeatures
from .places import Places

__all__ = ["FieldUNet", "Numbers", "folded", "ramp", "unfolded", "wrap"]

READ = 32  # features that numbers are read off


class FieldUNet(nn.Module):
    """Fields and numbers in, fields and numbers out, ``(u, c, keep) -> (N, n)``; zero when untrained.

    Arguments:
        shapes: of the parts, in the order of the state.
        axes: for each part, which axis of the grid each of its axes is; -1 for channels. A part without is of numbers.
        grid: sizes of the grid's one to three axes.
        periodic: for each axis of the grid, whether its ends meet.
        channels: of each depth of the U-Net.
        blocks: residual blocks of each depth, on the way down and again on the way up.
        patch: pixels along the side of a patch.
        features: numbers that tell a block the noise level and the state's numbers.

    Raises:
        ValueError: a part that does not fit the grid.
    """

    def __init__(self, shapes: Sequence[Sequence[int]], axes: Sequence[Sequence[int]], grid: Sequence[int],
                 periodic: Sequence[bool], channels: Sequence[int] = (48, 96, 128), blocks: Sequence[int] = (1, 2, 2),
                 patch: int = 2, features: int = 64) -> None:
        super().__init__()
        self.places, self.periodic = Places(shapes, axes, grid), tuple(map(bool, periodic))
        halvings = len(channels) - 1
        both = [_coarsening(n, around, patch, halvings) for n, around in zip(grid, self.periodic, strict=True)]
        self.patch, stride = tuple(p for p, _ in both), tuple(s for _, s in both)
        self.pads = [-n % (p * s**halvings) for n, (p, s) in zip(grid, both)]
        pixels = math.prod(self.patch)
        self.walls = [axis for axis, around in enumerate(self.periodic) if not around]
        self.numbers = Numbers(self.places.numbers, READ, features)
        self.out = self.places.channels * pixels
        self.body = UNet((2 * self.places.channels + len(self.walls)) * pixels,
                         self.out + (READ if self.places.numbers else 0), hid_channels=tuple(channels),
                         hid_blocks=tuple(blocks), mod_features=features, norm="group",
                         groups=math.gcd(*channels, max(channels[0] // 4, 1)), spatial=len(grid), stride=stride)
        for conv in self.body.modules():
            if isinstance(conv, nn.Conv1d | nn.Conv2d | nn.Conv3d):
                wrap(conv, self.periodic)
        last = self.body.ascent[-1][-1]
        nn.init.zeros_(last.weight[: self.out])
        nn.init.zeros_(last.bias[: self.out])

    def forward(self, u: Tensor, c: Tensor, keep: Tensor) -> Tensor:
        """``u, keep (N, n)``, ``c (N, 1)`` to ``(N, n)``."""
        (fields, numbers), (there, known) = self.places.apart(u), self.places.apart(keep)
        level = self.numbers.tell(c, numbers, known)
        image = torch.cat([fields, there, *(ramp(fields, axis) for axis in self.walls)], 1)
        image = functional.pad(image, [end for pad in reversed(self.pads) for end in (0, pad)])
        told = self.body(folded(image, self.patch), level)
        image = unfolded(told[:, : self.out], self.patch)
        image = image[(..., *(slice(n) for n in self.places.sizes))]
        return self.places.together(image, self.numbers.say(told[:, self.out:].flatten(2).mean(-1), level))


class Numbers(nn.Module):
    """What numbers beside fields tell a network, with the noise level, and what the network says of them.

    Arguments:
        numbers: how many.
        read: features that are read.
        features: numbers that modulate the blocks.
        vector: numbers of noise that come with the noise level.
    """

    def __init__(self, numbers: int, read: int, features: int, vector: int = 0) -> None:
        super().__init__()
        self.level = nn.Sequential(LevelFeatures(features), nn.Linear(features, features), nn.SiLU())
        self.noise = nn.Linear(vector, features, bias=False) if vector else None
        self.enter = self.leave = None
        if numbers:
            self.enter = nn.Sequential(nn.Linear(2 * numbers, features), nn.SiLU(), nn.Linear(features, features))
            self.leave = nn.Sequential(nn.Linear(read + features, 2 * features), nn.SiLU(),
                                       nn.Linear(2 * features, numbers))
            nn.init.zeros_(self.leave[-1].weight)
            nn.init.zeros_(self.leave[-1].bias)

    def tell(self, c: Tensor, numbers: Tensor, known: Tensor) -> Tensor:
        """``c (N, 1 + vector)`` and ``numbers, known (N, m)`` to ``(N, features)``."""
        level = self.level(c[:, :1])
        level = level if self.noise is None else level + self.noise(c[:, 1:])
        return level if self.enter is None else level + self.enter(torch.cat([numbers, known], -1))

    def say(self, read: Tensor, level: Tensor) -> Tensor:
        """Features ``(N, read)`` and what was told to the numbers ``(N, m)``."""
        return read[:, :0] if self.leave is None else self.leave(torch.cat([read, level], -1))


def ramp(fields: Tensor, axis: int) -> Tensor:
    """Where a point is between the walls of an axis of ``fields (N, C, *grid)``: -1 to 1, ``(N, 1, *grid)``."""
    grid = fields.shape[2:]
    line = torch.linspace(-1, 1, grid[axis], dtype=fields.dtype, device=fields.device)
    return line.reshape(*[1] * (2 + axis), -1, *[1] * (len(grid) - 1 - axis)).expand(len(fields), 1, *grid)


def _coarsening(size: int, around: bool, patch: int, halvings: int) -> tuple[int, int]:
    """The side of a patch and the stride along an axis: what divides it, where padding would open a ring."""
    choices = [(patch, 2), (1, 2), (patch, 1)] if around else [(patch, 2)]
    return next((choice for choice in choices if size % (choice[0] * choice[1] ** halvings) == 0),
                (1, 1) if around else choices[0])


class _Around:
    """Wraps an input round the axes whose ends meet, before a convolution that pads the others."""

    def __init__(self, pads: list[int]) -> None:
        self.pads = pads

    def __call__(self, conv: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (functional.pad(inputs[0], self.pads, mode="circular"),)


def wrap(conv: nn.Conv1d | nn.Conv2d | nn.Conv3d, periodic: Sequence[bool]) -> None:
    """azula pads all axes of a convolution in one way: pad each in its own."""
    sides = conv.padding
    pads = [side if around else 0 for side, around in zip(sides, periodic)]
    if any(pads):
        conv.padding = tuple(0 if around else side for side, around in zip(sides, periodic))
        conv.register_forward_pre_hook(_Around([pad for pad in reversed(pads) for _ in (0, 1)]))


def folded(image: Tensor, patch: Sequence[int]) -> Tensor:
    """Patches of pixels as channels, ``(N, C, *grid)`` to ``(N, C * patch, *grid / patch)``."""
    count = len(patch)
    split = image.reshape(*image.shape[:2], *(m for n, p in zip(image.shape[2:], patch) for m in (n // p, p)))
    order = [0, 1, *(3 + 2 * i for i in range(count)), *(2 + 2 * i for i in range(count))]
    return split.permute(order).flatten(1, 1 + count)


def unfolded(image: Tensor, patch: Sequence[int]) -> Tensor:
    """The inverse of :func:`folded`."""
    count, coarse = len(patch), image.shape[2:]
    split = image.reshape(len(image), -1, *patch, *coarse)
    order = [0, 1, *(k + i for i in range(count) for k in (2 + count, 2))]
    return split.permute(order).reshape(len(image), -1, *(n * p for n, p in zip(coarse, patch)))
