r"""Decoders: images of two phases from white noise and a style, and what makes a problem of them.

The noise is a small image, an eighth of the size, so that a decoder is of any multiple of eight pixels, periodic. The
style enters every block by a scale and a shift of each channel, :math:`h \leftarrow h (1 + a(s)) + b(s)` (modulation:
AdaIN without the statistics of the image), so that blocks may have styles of their own.

References:
    A Style-Based Generator Architecture for Generative Adversarial Networks (Karras, Laine & Aila, 2019),
    https://arxiv.org/abs/1812.04948; Texture Synthesis with Spatial Generative Adversarial Networks (Jetchev,
    Bergmann & Vollgraf, 2016), https://arxiv.org/abs/1611.08207
"""

from __future__ import annotations

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

__all__ = ["BLOCKS", "LATENT", "Decoded", "Decoder", "Modulated", "batches", "trained"]

LATENT, CELL, BLOCKS = 16, 8, 3  # numbers of noise a cell, pixels along its side, blocks that have a style
CHANNELS = (LATENT, 48, 48, 32)
AVERAGE = 0.99  # of weights, from step to step


class Modulated(nn.Module):
    """A periodic convolution whose channels the style scales and shifts, ``(B, c, y, x), (B, 8) -> (B, c', y, x)``."""

    def __init__(self, inside: int, outside: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, 3, stride, padding=1, padding_mode="circular")
        self.style = nn.Linear(len(NUMBERS), 2 * outside)

    def forward(self, h: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.style(style)[..., None, None].chunk(2, -3)
        return nn.functional.silu(self.conv(h) * (1 + scale) + shift)


class Decoder(nn.Module):
    """Noise ``(*B, 16, y, x)`` and styles ``(*B, 8)``, or one a block ``(*B, 3, 8)``, to logits ``(*B, 8y, 8x)``."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(map(Modulated, CHANNELS, CHANNELS[1:]))
        self.last = nn.Conv2d(CHANNELS[-1], 4, 3, padding=1, padding_mode="circular")

    def forward(self, z: Tensor, style: Tensor) -> Tensor:
        h, rows = z.flatten(0, -4), z.shape[:-3]
        each = style if style.ndim > 1 and style.shape[-2] == BLOCKS else style[..., None, :]
        each = each.expand(*rows, BLOCKS, -1).reshape(-1, BLOCKS, style.shape[-1])
        for level, block in enumerate(self.blocks):
            h = block(h if not level else nn.functional.interpolate(h, scale_factor=2.0), each[:, level])
        made = nn.functional.pixel_shuffle(self.last(h), 2)
        return made.reshape(*rows, *made.shape[-2:])


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
        shape = (LATENT, *(n // CELL for n in self.grid))
        return Layout(z=Variable(shape, dims=("channel", "row", "column")))

    @property
    def problem(self) -> Problem:
        """Standard normal numbers, and the ``phase (*B, y, x)`` between 0 and 1 that they stand for."""
        prior = Gaussian(torch.zeros(self.layout.size), torch.tensor(1.0))
        return Problem(self.layout, prior, derive=lambda z: {"phase": torch.sigmoid(self.decoder(z, self.style))})

    def draw(self, seeds: Tensor) -> Tensor:
        """States of the prior ``(B, d)``, one of each seed."""
        return Streams(seeds).normal(self.layout.size, torch.float32)

    def height(self, x: Tensor) -> Tensor:
        """Logits ``(B, y, x)`` of states ``(B, d)``."""
        return self.decoder(self.layout.unpack(x)["z"], self.style)

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
