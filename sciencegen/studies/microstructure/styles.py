"""Styles as they are written on the command line, one or several, and a painted map of where each is.

``size=4,angle=30,aspect=2,fraction=0.4``: the correlation length in pixels, the long direction in degrees from the x
axis, lengths along it over those across it, and the share of phase 1. A map is an image whose shade says which style a
place has: black the first, white the last, in between those between. With one style alone it says the local share of
phase 1, from 0.2 (black) to 0.8 (white).
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...files import guarded
from ...physics.microstructure import FAMILIES, Style

__all__ = ["Asked", "by_patch", "painted", "shades", "styles"]

NUMBERS = ("size", "angle", "aspect", "fraction")
USUAL = {"size": 4.0, "angle": 0.0, "aspect": 1.0, "fraction": 0.5}
LEAST, MOST = {"size": 1.0, "aspect": 1.0, "fraction": 0.02}, {"size": 512.0, "aspect": 32.0, "fraction": 0.98}
SHADES = (0.2, 0.8)  # shares of phase 1 that a map's black and white stand for
SOFT = 0.5  # of the shortest length, over which one style goes over into another


class Asked(NamedTuple):
    """Styles, the family that they are of, and whether any of them says a fraction."""

    style: Style
    family: str
    told: bool


def styles(texts: Sequence[str], fraction: float | None = None, family: str = "level-set") -> Asked:
    """What ``--style`` says, once or several times; ``fraction`` is what those have that say none.

    ValueError, in the command's own words, for what is no style, and for styles of several families.
    """
    found, families = [], set()
    for text in texts or ("",):
        given = dict(_pair(text, word) for word in text.split(",") if word.strip())
        families.add(given.pop("family", family))
        found.append({**({} if fraction is None else {"fraction": fraction}), **given})
    told = fraction is not None or any("fraction" in text for text in texts)
    if len(families) > 1:
        raise ValueError(f"got --style of the families {', '.join(sorted(families))}; expected one for all")
    kind = families.pop()
    usual = USUAL | ({"fraction": sum(FAMILIES[kind].fractions) / 2} if kind != family else {})
    return Asked(Style(*(torch.tensor([{**usual, **row}[name] for row in found]) for name in NUMBERS)), kind, told)


def _pair(text: str, word: str) -> tuple[str, float | str]:
    name, _, value = (part.strip() for part in word.partition("="))
    if name == "family" and value in FAMILIES:
        return name, value
    try:
        number = float(value) if name in NUMBERS else math.nan
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and LEAST.get(name, -math.inf) <= number <= MOST.get(name, math.inf)):
        raise ValueError(f"got '{word.strip()}' in --style {text}; expected size=4,angle=30,aspect=2,fraction=0.4 or "
                         "some of them (sizes from 1 pixel, aspects from 1, fractions from 0.02 to 0.98), and family= "
                         f"one of {', '.join(FAMILIES)}")
    return name, number


def shades(file: str | os.PathLike, grid: tuple[int, int]) -> Tensor:
    """Shades ``(ny, nx)`` from 0 to 1 of an image on a grid, its lowest row first; ValueError for no image."""
    from matplotlib.image import imread

    with guarded(file, "a file", "a picture, as PNG", "save it as a PNG"):
        image = np.asarray(imread(os.fspath(file)), dtype=np.float32)
    image = image / 255 if image.max(initial=0) > 1 else image
    image = image[..., :3].mean(-1) if image.ndim == 3 else image
    whole = torch.from_numpy(image[::-1].copy())[None, None]
    return torch.nn.functional.interpolate(whole, grid, mode="area")[0, 0].clamp(0, 1)


def painted(asked: Asked, shade: Tensor) -> tuple[Style, Tensor]:
    """Styles and their weights ``(S, ny, nx)``, one altogether in each place."""
    style = asked.style
    if len(style) == 1:
        ends = torch.tensor(SHADES).double()
        style = Style(style.length.expand(2), style.angle.expand(2), style.aspect.expand(2), ends)
    place = shade * (len(style) - 1)
    weights = (1 - (place - torch.arange(len(style))[:, None, None]).abs()).clamp_min(0)
    return style, _blurred(weights, SOFT * float(style.length.min()))


def by_patch(style: Style, weights: Tensor, side: int, overlap: int) -> Style:
    """The style in the middle of each patch, row by row, between those that a map has there."""
    stride = side - overlap
    rows, columns = (((torch.arange(n // stride) * stride) + side // 2) % n for n in weights.shape[-2:])
    share = weights[:, rows][:, :, columns].flatten(1).double()
    share = share / share.sum(0)
    return Style.stretched((share.mT @ style.length.log()).exp(), share.mT @ style.stretch, share.mT @ style.fraction)


def _blurred(weights: Tensor, width: float) -> Tensor:
    """With a periodic Gaussian; the sum stays one."""
    ky, kx = (2 * torch.pi * torch.fft.fftfreq(n) for n in weights.shape[-2:])
    kx = kx[: weights.shape[-1] // 2 + 1]
    smooth = torch.exp(-(ky[:, None].square() + kx.square()) * width**2 / 2)
    return torch.fft.irfft2(smooth * torch.fft.rfft2(weights), s=weights.shape[-2:]).clamp_min(0)
