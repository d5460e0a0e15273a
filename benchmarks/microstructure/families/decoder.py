r"""Decoders: images of two phases from white noise and a style, and what makes a problem of them.

The noise is a pyramid of images, an eighth, a quarter and half of the size, so that a decoder is of any multiple of
eight pixels, periodic, and cannot fill an image without it. The style enters every block by a scale and a shift of each
channel, :math:`h \leftarrow h (1 + a(s)) + b(s)` (modulation: AdaIN without the statistics of the image), so that
blocks may have styles of their own.

References:
    A Style-Based Generator Architecture for Generative Adversarial Networks (Karras, Laine & Aila, 2019),
    https://arxiv.org/abs/1812.04948; Texture Synthesis with Spatial Generative Adversarial Networks (Jetchev,
    Bergmann & Vollgraf, 2016), https://arxiv.org/abs/1611.08207
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sciencegen.exact import Gaussian
from sciencegen.layout import Layout, Variable
from sciencegen.problem import Problem
from sciencegen.random import Streams
from sciencegen.studies.microstructure.images import Limits, cut
from sciencegen.studies.microstructure.prior import NUMBERS, SIDE, Crops

__all__ = ["BLOCKS", "CELLS", "LATENT", "Decoded", "Decoder", "Modulated", "batches", "numbers", "trained"]

LATENT, CELLS = (8, 4, 2), (8, 4, 2)  # of each block: numbers of noise a cell, pixels along its side
CHANNELS = (48, 48, 32)
BLOCKS = len(CELLS)
STEEP = 6.0  # of logits to channels: images of two values are far out
AVERAGE = 0.99  # of weights, from step to step


class Modulated(nn.Module):
    """A periodic convolution, of unit size in each pixel, whose channels the style scales and shifts.

    ``(B, c, y, x), (B, 8) -> (B, c', y, x)``.
    """

    def __init__(self, inside: int, outside: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, 3, stride, padding=1, padding_mode="circular")
        self.style = nn.Linear(len(NUMBERS), 2 * outside)

    def forward(self, h: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.style(style)[..., None, None].chunk(2, -3)
        h = self.conv(h)
        h = h * (h.square().mean(-3, keepdim=True) + 1e-6).rsqrt()  # each pixel by itself: rows and places stay apart
        return nn.functional.silu(h * (1 + scale) + shift)


class Decoder(nn.Module):
    """Noise ``(*B, d)`` and styles ``(*B, 8)``, or one a block ``(*B, 3, 8)``, to logits ``(*B, ny, nx)`` of a grid."""

    def __init__(self) -> None:
        super().__init__()
        below = (0, *CHANNELS[:-1])
        self.blocks = nn.ModuleList(Modulated(a + b, c) for a, b, c in zip(below, LATENT, CHANNELS))
        self.last = nn.Conv2d(CHANNELS[-1], 4, 3, padding=1, padding_mode="circular")

    def forward(self, z: Tensor, style: Tensor, grid: tuple[int, int] = (SIDE, SIDE)) -> Tensor:
        rows = z.shape[:-1]
        each = style if style.ndim > 1 and style.shape[-2] == BLOCKS else style[..., None, :]
        each = each.expand(*rows, BLOCKS, -1).reshape(-1, BLOCKS, style.shape[-1])
        pyramid, h = z.reshape(-1, z.shape[-1]).split([math.prod(shape) for shape in shapes(grid)], -1), None
        for level, (block, noise, shape) in enumerate(zip(self.blocks, pyramid, shapes(grid))):
            white = noise.unflatten(-1, shape)
            whole = white if h is None else torch.cat([nn.functional.interpolate(h, scale_factor=2.0), white], 1)
            h = block(whole, each[:, level])
        made = STEEP * nn.functional.pixel_shuffle(self.last(h), 2)
        return made.reshape(*rows, *grid)


def shapes(grid: tuple[int, int]) -> list[tuple[int, int, int]]:
    """Of the noise of each block."""
    return [(count, grid[0] // cell, grid[1] // cell) for count, cell in zip(LATENT, CELLS)]


def numbers(grid: tuple[int, int]) -> int:
    """How many of noise an image has, ``d``."""
    return sum(math.prod(shape) for shape in shapes(grid))


@dataclass(frozen=True)
class Decoded:
    """Images that a decoder makes of white noise in one style: a family to design in, as level sets are.

    Arguments:
        style: its numbers in the unit of the state, ``(8,)``, or one a block, ``(3, 8)``.
    """

    decoder: Decoder
    style: Tensor
    grid: tuple[int, int] = (2 * SIDE, 2 * SIDE)
    limits: Limits = field(default_factory=Limits)

    @property
    def layout(self) -> Layout:
        """The noise ``z (d,)``, coarse numbers first."""
        return Layout(z=Variable((numbers(self.grid),)))

    @property
    def problem(self) -> Problem:
        """Standard normal numbers, and the ``phase (*B, y, x)`` between 0 and 1 that they stand for."""
        prior = Gaussian(torch.zeros(self.layout.size), torch.tensor(1.0))
        return Problem(self.layout, prior, derive=lambda z: {"phase": torch.sigmoid(self.height(z))})

    def draw(self, seeds: Tensor) -> Tensor:
        """States of the prior ``(B, d)``, one of each seed."""
        return Streams(seeds).normal(self.layout.size, torch.float32)

    def height(self, x: Tensor) -> Tensor:
        """Logits ``(*B, y, x)`` of states ``(*B, d)``."""
        return self.decoder(x, self.style, self.grid)

    def phase(self, x: Tensor, width: float) -> Tensor:
        """Images ``(B, y, x)`` of 0 and 1, with slopes of ``width``."""
        return self.limits.kept(cut(self.height(x), width))


def batches(rows: Crops, batch: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Images ``(B, 1, 32, 32)`` of -1 and 1 with their styles ``(B, 8)``, at random and for ever."""
    draws = torch.Generator().manual_seed(seed)
    while True:
        picked = torch.randint(len(rows), (batch,), generator=draws).tolist()
        image, style = torch.stack(rows.__getitems__(picked)).split([SIDE**2, len(NUMBERS)], -1)
        yield image.unflatten(-1, (1, SIDE, SIDE)), style


def trained(decoder: Decoder, step: Callable[[int], dict[str, float]], steps: int) -> tuple[Decoder, dict[str, float]]:
    """The running mean of a decoder over ``step(0), step(1) ...``, and what the last fifth of steps told, averaged."""
    mean, told, start = AveragedModel(decoder, multi_avg_fn=get_ema_multi_avg_fn(AVERAGE)), [], time.process_time()
    for index in range(steps):
        told.append(step(index))
        mean.update_parameters(decoder)
    last = told[-max(steps // 5, 1):]
    facts = {name: sum(row[name] for row in last) / len(last) for name in last[0]}
    return mean.module.eval().requires_grad_(False), {**facts, "seconds": time.process_time() - start}
