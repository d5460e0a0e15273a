r"""Images whose interfaces sway: what designs of any family are moved by, without being redrawn.

With the distance :math:`d(x)` from the nearest pixel of the other phase, positive in phase 1, the image is where

.. math:: d(x) + u(x) > 0 , \qquad u = \text{smooth noise} ,

so that an interface moves by :math:`u`, pixels in unit, and stays what it is where nothing moves it: a few pixels in a
hundred change. The image itself, the ``base``, is drawn by the family: by its own generator (:class:`Grown`), or by a
network that has learned it (:mod:`.patches`).
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ...layout import Layout, Variable
from ...physics.microstructure import FAMILIES, LevelSet, Style
from .goals import ROUGH, Goals
from .images import Limits, cut, sharing
from .newton import misses

__all__ = ["Grown", "Swayed", "distance"]

SWAY, SMOOTH = 0.8, Style(*(torch.tensor([v]) for v in (4.0, 0.0, 1.0, 0.5)))  # pixels, and their field
CONSERVED = ("spinodal",)  # families whose images have all the same share of phase 1, since mass is conserved
REACH = 24  # pixels beyond the sides that distances look to
FLOOR = 2**40  # seed of images to compare with
TRIES = 8  # images of which the nearest is taken


@dataclass(frozen=True)
class Swayed(abc.ABC):
    """Images of a family, their interfaces moved.

    Arguments:
        grid: rows and columns.
        style: one, or several.
        family: name of the family.
        limits: what images keep to.
    """

    grid: tuple[int, int]
    style: Style
    family: str
    limits: Limits = field(default_factory=Limits)

    @property
    def layout(self) -> Layout:
        """``sway (y, x)``, noise that moves interfaces, and the ``base`` that they are of, above zero in phase 1."""
        free = Variable(self.grid, dims=("y", "x"))
        return Layout(sway=free, base=free)

    @abc.abstractmethod
    def bases(self, seeds: Tensor, goals: Goals) -> tuple[Tensor, int, int]:
        """Images ``(B, ny, nx)``, one of each seed, above zero in phase 1; solves of each, and calls of a network."""

    def begin(self, seeds: Tensor, goals: Goals) -> tuple[Tensor, int, int]:
        """States ``(B, d)``, one of each seed; solves of each, and calls of a network."""
        base, solves, calls = self.bases(seeds, goals)
        base = base.flatten(1).float()
        return torch.cat([torch.zeros_like(base), base], -1), solves, calls

    def family_images(self, count: int) -> Tensor:
        """Images of the family's generator, to compare with."""
        many = self.style[torch.arange(count) % len(self.style)]
        return self.limits.kept(FAMILIES[self.family].draw(many, self.grid, FLOOR))

    def height(self, x: Tensor) -> Tensor:
        """Distances of pixels from the interface, moved, ``(*B, ny, nx)``, of states ``(*B, d)``."""
        parts = self.layout.unpack(x)
        base = parts["base"].detach() > 0
        moved = distance(base).to(x) + SWAY * LevelSet().field(SMOOTH, parts["sway"])
        return sharing(moved, base.sum((-2, -1))) if self.family in CONSERVED else moved

    def phase(self, x: Tensor, width: float) -> Tensor:
        """Images ``(*B, ny, nx)`` of states; ``width`` is that of slopes, of the distances' spread."""
        return self.limits.kept(cut(self.height(x), width))


@dataclass(frozen=True)
class Grown(Swayed):
    """Images as their family's generator grows them, of :data:`TRIES` the nearest to the goals."""

    def bases(self, seeds: Tensor, goals: Goals) -> tuple[Tensor, int, int]:
        tries, family = TRIES if goals.wanted else 1, FAMILIES[self.family]
        many = self.style[torch.zeros(tries, dtype=torch.long)]
        grown = torch.stack([family.draw(many, self.grid, int(seed)) for seed in seeds])
        if not goals.wanted:
            return 2 * grown[:, 0] - 1, 0, 0
        value = goals.of(grown.flatten(0, 1), ROUGH)
        nearest = misses(value / goals.target(value)).reshape(len(seeds), tries).argmin(1)
        return 2 * grown[torch.arange(len(seeds)), nearest] - 1, tries, 0


def distance(phase: Tensor) -> Tensor:
    """Signed distance ``(*B, ny, nx)`` of pixels from those of the other phase, less a half; periodic."""
    found = [_distance(image) for image in phase.reshape(-1, *phase.shape[-2:]).cpu().numpy()]
    return torch.from_numpy(np.stack(found)).reshape(phase.shape)


def _distance(image: np.ndarray) -> np.ndarray:
    ny, nx = image.shape
    pad = [(min(ny, REACH),) * 2, (min(nx, REACH),) * 2]
    tiled = np.pad(image, pad, mode="wrap")
    inside, outside = (ndimage.distance_transform_edt(part) for part in (tiled, ~tiled))
    return np.where(tiled, inside - 0.5, 0.5 - outside)[pad[0][0]: pad[0][0] + ny, pad[1][0]: pad[1][0] + nx]
