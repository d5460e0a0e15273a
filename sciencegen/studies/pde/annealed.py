r"""Annealed populations: white noise brought from its own law to a posterior whose misfit has a width.

With white noise :math:`z` and a misfit :math:`r(z; w)` in units of the data's noise, where :math:`w` is the width of a
threshold, the energy at inverse temperature :math:`b` is

.. math:: |z|^2 / 2 + b |r(z; w)|^2 / 2, \qquad w = w_0 b^{-1/2}.

At first there is nothing but the prior, which is sampled exactly; a wide threshold lets gradients through. Each level
is as far beyond the last as leaves a share of the members their weight, which decides who goes on; then come
Hamiltonian steps, in coordinates that are stretched by what the data fix. At the data, :math:`b = 1`, the threshold
narrows further, and all go on: to choose by weight between what one pixel decides would leave few members.

References:
    Sequential Monte Carlo Samplers (Del Moral, Doucet & Jasra, 2006),
    https://doi.org/10.1111/j.1467-9868.2006.00553.x
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from ...energy import Potential
from ...mcmc import HMC
from ...random import Streams

__all__ = ["Annealed", "Coordinates", "Misfit", "Population"]

COLDEST = 1e-3  # inverse temperature from which on the threshold narrows
LIKED = 0.65  # of the proposals that are accepted
STEPS = 0.02, 0.6  # the shortest and the longest


class Misfit(Protocol):
    """What white noise makes of the readings."""

    @property
    def size(self) -> int:
        """Numbers of a state."""

    def __call__(self, z: Tensor, width: float) -> Tensor:
        """``(*B, m)`` of white noise ``z (*B, size)``, in units of the readings' noise; differentiable."""


@dataclass(frozen=True)
class Coordinates:
    """``z = q + V ((1 + l)^{-1/2} - 1) V^T q``: in ``q`` the mean curvature ``1 + V l V^T`` is the identity."""

    axes: Tensor
    curvature: Tensor

    @classmethod
    def around(cls, probes: Tensor) -> Coordinates:
        """From gradients ``(k, d)`` of which the mean outer product is the curvature."""
        _, spread, axes = torch.linalg.svd(probes / math.sqrt(len(probes)), full_matrices=False)
        return cls(axes.mT, spread**2)

    def __call__(self, q: Tensor, power: float = -0.5) -> Tensor:
        return q + ((q @ self.axes) * ((1 + self.curvature) ** power - 1)) @ self.axes.mT


@dataclass(frozen=True)
class Population:
    """A population ``z (M, d)`` at inverse temperature ``heat``, and what its walk has learned.

    Arguments:
        step: of the Hamiltonian steps.
        solves: misfits and gradients computed so far, one for each member.
        acceptance: of the last proposals, ``(M,)``.
    """

    z: Tensor
    heat: float = 0.0
    step: float = 0.25
    solves: int = 0
    acceptance: Tensor | None = None


@dataclass(frozen=True)
class Annealed:
    """Sequential Monte Carlo with Hamiltonian moves: a population of ``members`` from white noise to the data.

    Arguments:
        repeats, leaps: proposals a level, and steps a proposal.
        last: levels at the data, after the one that arrives there.
        width, sharp: the threshold's on arrival at the data, and in the end.
        share: of the members that keep their weight from level to level.
        probes: gradients that find what the data fix.
        most: levels on the way; what is left after as many is gone at once, as data that contradict the prior make them
            endless, and the misfit says so.
    """

    members: int = 32
    repeats: int = 3
    leaps: int = 4
    last: int = 5
    width: float = 0.1
    sharp: float = 0.018
    share: float = 0.5
    probes: int = 64
    most: int = 80

    def path(self, misfit: Misfit, noise: Streams) -> Iterator[Population]:
        """The population after each level, the last one at the data; ``noise`` has a row a member."""
        now, level = Population(noise.at(-1).normal(misfit.size)), 0
        while now.heat < 1:
            level += 1
            now = self.chosen(misfit, now, noise.at(level), level == self.most)
            now = self.walked(misfit, now, self.sharpness(now.heat), noise.at(level))
            yield now
        for index in range(1, self.last + 1):
            width = self.width * (self.sharp / self.width) ** (index / self.last)
            now = self.walked(misfit, now, width, noise.at(level + index))
            yield now

    def sharpness(self, heat: float) -> float:
        """The threshold's width at an inverse temperature, on the way to the data."""
        return self.width / math.sqrt(max(heat, COLDEST))

    def energies(self, misfit: Misfit, z: Tensor, heat: float) -> Tensor:
        """``|misfit|^2 / 2 (M,)`` with the threshold of this inverse temperature."""
        return misfit(z, self.sharpness(heat)).square().sum(-1) / 2

    def chosen(self, misfit: Misfit, now: Population, noise: Streams, arrive: bool = False) -> Population:
        """The next level, or that of the data, members drawn by their weights there (systematically)."""
        value = self.energies(misfit, now.z, now.heat)
        heat = 1.0 if arrive else self._next(value, now.heat)
        weight = torch.softmax(now.heat * value - heat * self.energies(misfit, now.z, heat), 0)
        comb = (torch.arange(self.members) + noise.at(noise.step, 1).uniform(1)[0]) / self.members
        pick = torch.searchsorted(weight.cumsum(0), comb).clamp_max(self.members - 1)
        return replace(now, z=now.z[pick], heat=heat, solves=now.solves + 2 * self.members)

    def walked(self, misfit: Misfit, now: Population, width: float, noise: Streams) -> Population:
        """Hamiltonian steps with a threshold of this width, of a length that two in three are accepted."""
        heat = now.heat
        coordinates = Coordinates.around(math.sqrt(heat) * self.gradients(misfit, now.z, width, noise))

        def energy(q: Tensor) -> Tensor:
            z = coordinates(q)
            return z.square().sum(-1) / 2 + heat / 2 * misfit(z, width).square().sum(-1)

        jitter = 0.6 + 0.8 * noise.at(noise.step, 2).uniform(1)
        kernel = HMC(now.step * jitter, self.leaps, repeats=self.repeats)
        q, info = kernel(Potential(energy), coordinates(now.z, 0.5), 0.0, noise.at(noise.step, 10))
        step = now.step * math.exp(1.5 * (float(info.acceptance.mean()) - LIKED))
        spent = self.members * (2 + self.repeats * self.leaps)
        return Population(coordinates(q), heat, min(max(step, STEPS[0]), STEPS[1]), now.solves + spent, info.acceptance)

    def gradients(self, misfit: Misfit, z: Tensor, width: float, noise: Streams) -> Tensor:
        """``J^T e (k, d)`` of the misfit with random ``e``: their outer products average to ``J^T J``."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            found = misfit(z, width)
        slopes = []
        for probe in range(-(-self.probes // self.members)):
            e = noise.at(noise.step, 1000 + probe).normal(found.shape[-1])
            slopes.append(torch.autograd.grad(found, z, e, retain_graph=True)[0])
        return torch.cat(slopes)

    def _next(self, value: Tensor, heat: float) -> float:
        """The inverse temperature up to which ``share`` of the members keep their weight, by bisection."""

        def left(new: float) -> float:
            weight = torch.softmax((heat - new) * value, 0)
            return float(1 / weight.square().sum()) / self.members

        low, high = heat, 1.0
        if left(high) >= self.share:
            return high
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if left(middle) > self.share else (low, middle)
        return high  # beyond the last one, however little
