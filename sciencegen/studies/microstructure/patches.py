r"""Patches as what a design is made of: a trained prior of 32 x 32 pixels, composed to images of any size.

A sample of the composed prior (:func:`.prior.composed`) is steered to its goals as it becomes an image
(:mod:`.steer`); what is left to do is done on its interfaces (:mod:`.swayed`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...physics.microstructure import FAMILIES
from ...priors import Model
from ...problem import Problem
from ...sample import Multistep, Sampler, karras
from .goals import Goals
from .images import cut
from .prior import OVERLAP, composed, encoded
from .steer import Steered, steered
from .swayed import Swayed

__all__ = ["Patches", "few_steps"]

BATCH = 8  # samples that are drawn at once


def few_steps() -> Sampler:
    """A short walk: levels at which a mean is an image, and above them few."""
    return Multistep(karras(20, low=0.05, high=40.0))


@dataclass(frozen=True)
class Patches(Swayed):
    """Images of a trained prior of patches, in one style, or in one for each patch, row by row.

    Arguments:
        model: of patches (:mod:`.prior`).
        sampler: of the composed prior.

    Raises:
        ValueError: a grid that patches do not fill, and no model.
    """

    model: Model | None = None
    sampler: Sampler = field(default_factory=few_steps)

    def __post_init__(self) -> None:
        if self.model is None:
            raise ValueError("got no model; expected that of patches")
        if any(n % OVERLAP or n < 2 * OVERLAP for n in self.grid):
            raise ValueError(f"got --size {self.grid[0]}; expected a multiple of {OVERLAP} from {2 * OVERLAP} on, as "
                             "patches fill it")

    @property
    def problem(self) -> Problem:
        """The composed prior, its style given."""
        numbers = encoded(self.style, list(FAMILIES).index(self.family)).float()
        painted = len(numbers) > 1
        value = numbers.reshape(*(n // OVERLAP for n in self.grid), -1) if painted else numbers[0]
        return composed(self.model, *self.grid, painted).given(style=value)

    def bases(self, seeds: Tensor, goals: Goals) -> tuple[Tensor, int, int]:
        problem, found, last = self.problem, [], self.sampler.levels[-1]
        image = lambda x, width: cut(x.unflatten(-1, self.grid), width)
        for some in seeds.split(BATCH):
            energy = problem.energy()
            led = Steered(energy, image, goals) if goals.wanted else energy
            x = self.sampler(led, self.sampler.start(len(some), problem.size, some).float(), some)
            with torch.no_grad():
                found.append(energy.mean(x, last) if last > 0 else x)
        solves = sum(map(steered, self.sampler.levels[:-1])) if goals.wanted else 0
        calls = len(self.sampler.levels) * len(found)
        return torch.cat(found).unflatten(-1, self.grid), solves, calls
