r"""Style mixing: images whose coarse blocks have one style and whose fine blocks another.

Of pairs of styles :math:`(s, t)`, drawn apart, the first goes to the blocks up to a depth, the second to the rest. What
the images look like is regressed on both, :math:`m = a s + b t + c`: :math:`a` is how much of a number is decided by
the coarse blocks, :math:`b` by the fine ones. Where a number is of one kind of blocks alone, the other's coefficient
is zero; what it is instead, is the leakage.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sciencegen.physics.microstructure import Style, style_of
from sciencegen.random import Streams
from sciencegen.studies.microstructure.prior import LOC, SCALE, SIDE, encoded

from ..controls import Draw, styles
from .decoder import BLOCKS, Decoder, numbers

__all__ = ["drawn", "mixed", "units"]

NAMES = ("length", "along", "diagonal", "fraction")  # logarithm, both parts of the stretch, share of phase 1


def units(style: Style, family: Tensor | int) -> Tensor:
    """Styles in the unit of a decoder's input, ``(B, 8)`` in float32."""
    return ((encoded(style, family) - torch.tensor(LOC)) / torch.tensor(SCALE)).float()


def drawn(decoder: Decoder) -> Draw:
    """Images of a decoder for styles and families, to be measured as ours are."""

    def draw(style: Style, family: Tensor, side: int, seed: int) -> Tensor:
        return _images(decoder, units(style, family), side, seed)

    return draw


@torch.no_grad()
def _images(decoder: Decoder, style: Tensor, side: int, seed: int) -> Tensor:
    z = Streams(torch.arange(len(style)) + seed * 10**6).normal(numbers((side, side)), torch.float32)
    return (decoder(z, style, (side, side)) > 0).float()


def mixed(decoder: Decoder, depth: int, family: int = 0, count: int = 256, seed: int = 0
          ) -> dict[str, tuple[float, float]]:
    """Of each number the coefficients ``a`` of the blocks up to a depth and ``b`` of the others."""
    pair = [styles(4 * count, seed + k)[0][4 * torch.arange(count) + family] for k in range(2)]
    first, second = (units(style, family) for style in pair)
    coarse = torch.arange(BLOCKS) < depth
    each = torch.where(coarse[:, None], first[:, None], second[:, None])
    looks = style_of(_images(decoder, each, 2 * SIDE, seed).double())
    found = {}
    for name, seen, s, t in zip(NAMES, *map(_numbers, (looks, *pair))):
        rows = torch.stack([s, t, torch.ones_like(s)], -1)
        a, b, _ = torch.linalg.lstsq(rows, seen[:, None]).solution[:, 0].tolist()
        found[name] = (a, b)
    return found


def _numbers(style: Style) -> tuple[Tensor, ...]:
    return (style.length.log(), *style.stretch.unbind(-1), style.fraction)
