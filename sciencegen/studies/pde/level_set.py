r"""Rock of two materials from readings, as the sign of a Gaussian level: the rock's own law, and the solver, exactly.

The prior is over the level :math:`\varphi` (:mod:`.level_law`); the rock is derived from it, and the solution from the
rock by the solver, so that samples have two values and obey the equation to rounding. Two values have no gradient: on
the way the rock is :math:`\log a = \text{middle} + \text{half} \tanh(\varphi / w)`, whose width :math:`w` narrows
(:mod:`.annealed`). What is given back and judged is the sharp rock. "A Bayesian Level Set Method for Geometric Inverse
Problems" (Iglesias, Lu & Stuart, 2016), https://arxiv.org/abs/1504.00313
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import xarray
from torch import Tensor
from tqdm.auto import tqdm

from ...exact import Gaussian
from ...layout import Layout, Variable
from ...measure import Measurement
from ...observations import Observations
from ...physics import System
from ...priors import Model
from ...random import Streams
from ...result import Result
from .annealed import Annealed, Population
from .pairs import parts_layout

__all__ = ["LEVEL", "Level", "TwoMaterials", "hidden", "level_layout", "solve"]

LEVEL = "level"  # the part of a prior whose sign a rock is
STRIDE = 13  # from sample to sample of a population, whose neighbours may descend from one member


@runtime_checkable
class TwoMaterials(System, Protocol):
    """A system whose first part is of two values, the second where a hidden Gaussian level is not negative."""

    @property
    def materials(self) -> tuple[float, float]:
        """The two values, both positive."""


def level_layout(system: TwoMaterials) -> Layout:
    """The state of a system's level: unit variance, on the grid of its first part."""
    part = next(iter(system.parts.values()))
    coords = {dim: list(values) for dim, values in part.coords.items()}
    return Layout(**{LEVEL: Variable(part.shape, dims=part.dims, coords=coords)})


def hidden(system: System | None, layout: Layout) -> bool:
    """Whether a layout is of the level behind a system's rock."""
    shapes = {name: variable.shape for name, variable in layout.variables.items()}
    return isinstance(system, TwoMaterials) and shapes == {LEVEL: next(iter(system.parts.values())).shape}


@dataclass(frozen=True)
class Level:
    """The readings of a level: what white noise ``z (*B, k)`` along the law's axes makes of them.

    Arguments:
        system: of the rock.
        law: of the level, of low rank.
        measure: ``(**parts) -> (*B, m)``.
        data, noise: ``(m,)``.
    """

    system: TwoMaterials
    law: Gaussian = field(repr=False)
    measure: Callable[..., Tensor] = field(repr=False)
    data: Tensor = field(repr=False)
    noise: Tensor = field(repr=False)

    @property
    def size(self) -> int:
        """Axes of the law."""
        return self.law.axes.shape[1]

    def __call__(self, z: Tensor, width: float) -> Tensor:
        """``(*B, m)`` in units of the noise. Readings of rock see one material from a width off the border on."""
        rock, solution = self.system.parts
        level = self.level(z)
        solved = self.system.solve(**{rock: self.rock(torch.tanh(level / width))})
        seen = self.measure(**{rock: self.rock((level / width).clamp(-1, 1)), solution: solved})
        return (seen - self.data) / self.noise

    def level(self, z: Tensor) -> Tensor:
        """The level ``(*B, *shape)``."""
        flat = self.law.center + (z * self.law.variances[: self.size].sqrt()) @ self.law.axes.mT
        return flat.unflatten(-1, next(iter(self.system.parts.values())).shape)

    def rock(self, side: Tensor) -> Tensor:
        """The rock between its two materials, for ``side`` from -1 to 1."""
        low, high = map(math.log, self.system.materials)
        return ((low + high) / 2 + (high - low) / 2 * side).exp()

    def parts(self, z: Tensor) -> dict[str, Tensor]:
        """The sharp rock and its solution."""
        rock, solution = self.system.parts
        low, high = self.system.materials
        found = torch.where(self.level(z) >= 0, high, low).to(z)
        return {rock: found, solution: self.system.solve(**{rock: found})}


def drawn(level: Level, count: int, seeds: Tensor, walk: Annealed, progress: bool = False
          ) -> tuple[Tensor, list[list[Population]]]:
    """White noise ``(count, k)`` of the posterior, ``walk.members`` from each population, and the populations' paths.

    Sample ``i`` is the same whatever the count. ``seeds`` has one for each member of each population.
    """
    order, paths = torch.arange(walk.members) * STRIDE % walk.members, []
    with tqdm(desc="invert", unit=" levels", disable=None if progress else True) as bar:
        for some in seeds.split(walk.members):
            paths.append([])
            for population in walk.path(level, Streams(some)):
                paths[-1].append(population)
                bar.update()
    return torch.cat([path[-1].z[order] for path in paths])[:count], paths


def solve(model: Model, observations: Observations, system: TwoMaterials, measure: Measurement, count: int, seed: int,
          last: int, progress: bool) -> Result:
    """The posterior's samples, parts of ``system``, given what was observed; not yet judged.

    Arguments:
        model: a prior of the level.
        measure: of the system's parts.
        last: levels at the data.
    """
    start, layout, walk = time.perf_counter(), parts_layout(system), Annealed(last=last)
    law = copy.deepcopy(model.energy.gaussian()).double()
    level = Level(system, law, measure, observations.data, observations.noise)
    seeds = torch.arange(-(-count // walk.members) * walk.members) + seed * 2**20
    z, paths = drawn(level, count, seeds, walk, progress)
    solves = sum(path[-1].solves for path in paths) + count
    packed = lambda parts: layout.to_xarray(layout.pack(**parts))
    truth = {k: torch.as_tensor(np.asarray(v)).double() for k, v in observations.truth.items()}
    asked = {"task": "invert", "measure": repr(measure), "readings": len(level.data), "count": count,
             "sampler": repr(walk), "solves": solves, "seconds": time.perf_counter() - start}
    return Result(packed(level.parts(z)), np.full(count, np.nan), np.ones(count, bool), 0,
                  f"finished after {solves:,} solutions of the equation", 0, _history(paths, count, walk.members),
                  seeds[:count].numpy(), asked, _data(layout, level, measure), packed(truth) if truth else
                  xarray.Dataset())


def _data(layout: Layout, level: Level, measure: Measurement) -> xarray.Dataset:
    """The readings, where they are and of what."""
    labels = measure.labels(layout)
    units = [layout.variables[name].units for name in labels["variable"].values]
    found = {"value": level.data.numpy(), "noise": level.noise.numpy().copy(), "unit": np.array(units, dtype=object)}
    return labels.assign({name: ("measurement", values) for name, values in found.items()})


def _history(paths: Sequence[Sequence[Population]], count: int, members: int) -> xarray.Dataset:
    """The noise level, over the data's own, and the acceptance of each sample's population, as long as it walked."""
    found = np.full((2, max(map(len, paths)), count), np.nan)
    for which, path in enumerate(paths):
        some = slice(which * members, (which + 1) * members)
        for step, now in enumerate(path):
            found[0, step, some] = now.heat**-0.5
            found[1, step, some] = float(now.acceptance.mean())
    return xarray.Dataset({name: (("step", "sample"), values) for name, values in zip(("noise", "acceptance"), found)})
