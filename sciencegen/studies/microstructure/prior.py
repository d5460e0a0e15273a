r"""The prior over patches of two-phase microstructures: an image of 32 x 32 pixels, and the style of its law.

A state is ``phase (32, 32)`` and ``style (8,)``: the logarithm of the length, the stretch
:math:`\log a (\cos 2\theta, \sin 2\theta)`, the fraction and which family it is (:mod:`...physics.microstructure`).
Patches are cut anywhere out of periodic images, mirrored and transposed, and the style turns with them. The network
knows the image where the style is given, and so the edge strips and corners of half a side, which the composition of
patches takes away and adds (:func:`sciencegen.compose.patches`): images of any multiple of 16 pixels. It knows the
joint density too, for a style that is to be found.

An image has values of -1 and 1 with noise; what is designed or measured is where it is above zero.
"""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ...compose import patches
from ...exact import Gaussian
from ...files import fault
from ...files.hdf5 import hdf5, whole
from ...layout import Layout, Variable
from ...physics.microstructure import FAMILIES, Style
from ...priors import Model, Recipe
from ...problem import Problem
from ...train import Levels, Packed, Training

__all__ = [
    "NUMBERS", "OVERLAP", "SIDE", "Crops", "composed", "decoded", "encoded", "network", "prior_layout", "read",
    "recipe", "sized",
]

SIDE, OVERLAP = 32, 16  # pixels of a patch, and those that neighbours share
NUMBERS = ("log length", "stretch along", "stretch diagonal", "fraction", *FAMILIES)
LOC, SCALE = (1.15, 0.0, 0.0, 0.45, *[0.25] * 4), (0.3, 0.45, 0.45, 0.15, *[0.43] * 4)
CUTS = 64  # patches that are cut out of an image, each in a position of its own
SMALL = Training(steps=25_000, batch=16, rate=2e-3, levels=Levels(low=5e-2, high=80.0, center=2.0, spread=1.4),
                 given=(("style",),), shares=(0.1, 0.5, 0.15, 0.15, 0.1), precision=torch.bfloat16, every=250,
                 gated=False)


def prior_layout() -> Layout:
    """``phase (y, x)`` of 0 and 1, whose unit makes them -1 and 1, and ``style``, as :func:`encoded` has it."""
    pixels = {dim: np.arange(float(SIDE)) for dim in ("y", "x")}
    phase = Variable((SIDE, SIDE), 0.5, 0.5, ("y", "x"), "1", pixels)
    units = (torch.tensor(v, dtype=torch.float64) for v in (LOC, SCALE))
    return Layout(phase=phase, style=Variable((len(NUMBERS),), *units, ("number",), "", {"number": list(NUMBERS)}))


def encoded(style: Style, family: Tensor | int) -> Tensor:
    """Styles with the index of a family ``(B,)`` as the numbers of a state, ``(B, 8)`` in float64."""
    index = torch.as_tensor(family).long().expand(len(style))
    kind = torch.nn.functional.one_hot(index, len(FAMILIES))
    return torch.cat([style.length.log()[:, None], style.stretch, style.fraction[:, None], kind], -1)


def decoded(numbers: Tensor) -> tuple[Style, Tensor]:
    """The inverse of :func:`encoded`, of numbers that need not be quite possible: ``(B, 8)``."""
    length, stretch, share, kind = numbers.double().split([1, 2, 1, len(FAMILIES)], -1)
    return Style.stretched(length[:, 0].exp(), stretch, share[:, 0].clamp(0.01, 0.99)), kind.argmax(-1)


class Crops(Dataset):
    """Patches of images ``(N, n, n)`` with their styles' numbers ``(N, 8)``, as packed rows in random positions.

    Row ``i`` is of image ``i % N``: shifted, and in one of the square's eight positions, both drawn by ``seed``.
    """

    def __init__(self, layout: Layout, images: Tensor, numbers: Tensor, cuts: int = CUTS, seed: int = 0) -> None:
        self.images, self.styles = images, numbers
        self.loc, self.scale = (v[layout["style"].rows] for v in (layout.loc, layout.scale))
        draws, count = torch.Generator().manual_seed(seed), cuts * len(images)
        self.corners = torch.randint(images.shape[-1], (count, 2), generator=draws, dtype=torch.int16)
        self.positions = torch.randint(8, (count,), generator=draws, dtype=torch.uint8)

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int) -> Tensor:
        return self.__getitems__([index])[0]

    def rows(self) -> Tensor:
        """All of them, ``(len, 1032)``."""
        return torch.stack(self.__getitems__(list(range(len(self)))))

    def __getitems__(self, indices: list[int]) -> list[Tensor]:
        """Several rows at once."""
        rows = torch.tensor(indices)
        image, position = rows % len(self.images), self.positions[rows][:, None, None]
        y, x = ((c.long()[:, None] + torch.arange(SIDE)) % self.images.shape[-1] for c in self.corners[rows].unbind(-1))
        patch = self.images[image[:, None, None], y[:, :, None], x[:, None, :]].float()
        style = ((self.styles[image] - self.loc) / self.scale).float()
        for bit, moved in ((1, lambda v: v.flip(-1)), (2, lambda v: v.flip(-2)), (4, lambda v: v.mT)):
            patch = torch.where((position & bit) > 0, moved(patch), patch)
        flips = (position[:, 0, 0] & 1) ^ (position[:, 0, 0] >> 1 & 1)
        style[:, 2] *= 1 - 2 * flips.float()  # a mirror takes the angle to its negative
        style[:, 1] *= 1 - 2 * (position[:, 0, 0] >> 2).float()  # exchanged axes, to 90 degrees less it
        return list(torch.cat([2 * patch.flatten(1) - 1, style], -1))


def read(file: str | os.PathLike) -> tuple[Tensor, Tensor]:
    """Images ``(N, n, n)`` of 0 and 1, and their styles' numbers ``(N, 8)``, of datasets/make_microstructures.py.

    ValueError if the file is another.
    """
    whole(file)
    names = ("length", "angle", "aspect", "fraction")
    with hdf5(file) as data:
        missing = {"phase", "family", *names} - set(data)
        if missing:
            raise fault(file, f"no {sorted(missing)}", "a file that datasets/make_microstructures.py wrote",
                        "make it by that")
        style = Style(*(torch.from_numpy(data[name][:]) for name in names))
        return torch.from_numpy(data["phase"][:]), encoded(style, torch.from_numpy(data["family"][:]))


def network() -> Recipe:
    """The network of states of :func:`prior_layout`; see :class:`sciencegen.nets.wiener.WienerUNet`."""
    return Recipe("sciencegen.nets.wiener.WienerUNet", {"side": SIDE, "loc": list(LOC), "scale": list(SCALE)})


def recipe(file: str | os.PathLike, steps: int | None = None, seed: int = 0) -> tuple[Packed, Training]:
    """What to train on, from ``file`` (datasets/make_microstructures.py), and how: 40 minutes on one core.

    One image in twenty is held out to choose the weights by, and one to judge them by.
    """
    layout, (images, numbers) = prior_layout(), read(file)
    held = max(len(images) // 20, 1)
    parts = list(zip(*(v.split([len(v) - 2 * held, held, held]) for v in (images, numbers))))
    train = Crops(layout, *parts[0], seed=seed)
    valid, test = (Crops(layout, *part, cuts=2, seed=1).rows() for part in parts[1:])
    data = Gaussian(torch.zeros(layout.size), torch.ones(layout.size))
    phase, known = layout["phase"], (layout["style"],)
    strips = (phase[:, :OVERLAP], phase[:OVERLAP], phase[:OVERLAP, :OVERLAP])
    within = tuple(((strip, layout["style"]), known) for strip in strips)
    how = replace(SMALL, net=network(), gaussian=data, within=within, steps=steps or SMALL.steps, seed=seed,
                  facts=(("images", len(images)),))
    return Packed(layout, train, valid, test), how


def sized(layout: Layout, rows: int, columns: int, painted: bool = False) -> Layout:
    """The layout of an image of any multiple of 16 pixels; ``painted``: with a style for each patch, rows first.

    Patch ``(i, j)`` is of the 32 pixels from ``16 (i, j)`` on, periodic.
    """
    whole = layout.grown("phase", length=rows, dim="y").grown("phase", length=columns, dim="x")
    if not painted:
        return whole
    stride = SIDE - OVERLAP
    return whole.grown("style", copies=columns // stride, dim="column").grown("style", copies=rows // stride, dim="row")


def composed(model: Model, rows: int, columns: int, painted: bool = False) -> Problem:
    """The prior over images of any multiple of 16 pixels, periodic and without seams, where the style is given.

    ``composed(model, 64, 64).given(style=encoded(...))``; with a style for each patch it is painted.
    """
    prior, layout = model.energy.given(model.layout["style"]), sized(model.layout, rows, columns, painted)
    return Problem(layout, patches(prior, layout, OVERLAP))
