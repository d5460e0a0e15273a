r"""Two-valued rock as the sign of a Gaussian field: an energy of the field, walked down to the data through the solver.

With white noise :math:`z`, the field :math:`\varphi = F z` and a threshold of width :math:`w` the energy is

.. math:: |z|^2 / 2 + |S(\varphi / w) - y|^2 / 2 (1 + \sigma^2), \qquad w = w_0 (1 + \sigma^2)^{1/2},

misfits in units of the noise: the prior is exact, and high above the data a wide threshold lets gradients through.
A population is brought down from the prior. Each level is as far below the last as leaves half of the members their
weight, which decides who goes on; then Hamiltonian steps, in coordinates that are stretched by what the data fix. Rock
that was seen on a side of the threshold is held there. The sharp threshold judges at the end.

References:
    A Bayesian Level Set Method for Geometric Inverse Problems (Iglesias, Lu & Stuart, 2016),
    https://arxiv.org/abs/1504.00313; Sequential Monte Carlo Samplers (Del Moral, Doucet & Jasra, 2006),
    https://doi.org/10.1111/j.1467-9868.2006.00553.x
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sciencegen.energy import Potential
from sciencegen.mcmc import HMC
from sciencegen.physics import Darcy
from sciencegen.physics.fields import HIGH, LOW, binary
from sciencegen.random import Streams

from .row import Answer
from .task import GRID, Question, Task

MIDDLE, HALF = math.log(LOW * HIGH) / 2, math.log(HIGH / LOW) / 2
SIZE = GRID**2


@dataclass(frozen=True)
class Seen:
    """One case's data, and what white noise ``z (*B, n^2)`` makes of them."""

    question: Question
    data: Tensor

    def field(self, z: Tensor) -> Tensor:
        """The level-set function ``(*B, n, n)``."""
        return self.question.task.system.fields().colour(z.unflatten(-1, (GRID, GRID)))

    def misfit(self, z: Tensor, width: float) -> Tensor:
        """``(*B, m)`` in units of the noise; of rock that was seen, how far beyond the threshold, over its width."""
        where, phi = self.question.where, self.field(z)
        u = self.question.task.system.solve((MIDDLE + HALF * torch.tanh(phi / width)).exp())
        own = len(where.get("a", ()))
        found = (u.flatten(-2)[..., where["u"]] - self.data[own:]) / self.question.noise[own:]
        if not own:
            return found
        side = (self.data[:own].clamp_min(LOW / 10).log() - MIDDLE).sign()
        return torch.cat([(-side * phi.flatten(-2)[..., where["a"]]).clamp_min(0) / width, found], -1)


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
    """Members ``z (M, d)`` at inverse temperature ``heat``, and what the walk has learned."""

    z: Tensor
    heat: float = 0.0
    step: float = 0.25
    solves: int = 0


@dataclass(frozen=True)
class Latent:
    """``runs`` populations of ``members``; each level has ``repeats`` proposals of ``leaps`` steps.

    ``last`` levels are at the data; ``width`` is the threshold's there, in the field's unit (rms 0.29); ``share`` of
    the members keep their weight from level to level; ``probes`` gradients find what the data fix; of each population
    ``kept`` are given back.
    """

    name: str
    members: int = 32
    repeats: int = 3
    leaps: int = 4
    last: int = 4
    width: float = 0.03
    share: float = 0.5
    probes: int = 64
    runs: int = 1
    kept: int = 19
    most: int = 0

    @property
    def samples(self) -> int:
        """A case, of all runs."""
        return self.kept * self.runs

    def suits(self, task: Task) -> bool:
        return isinstance(task.system, Darcy)

    def __call__(self, question: Question) -> Answer:
        each = torch.arange(self.kept) * self.members // self.kept
        found = [[self.population(Seen(question, data), case, run) for run in range(self.runs)]
                 for data, case in question.each()]
        field = Seen(question, question.data).field
        a = torch.stack([torch.cat([binary(field(p.z[each])) for p in runs]) for runs in found])
        solves = sum(p.solves for runs in found for p in runs) / len(found) + self.samples
        return Answer({"a": a, "u": question.task.system.solve(a)}, solves=solves)

    def population(self, seen: Seen, case: int, run: int) -> Population:
        """Members at the data."""
        noise = Streams(torch.arange(self.members) + case * self.members, stream=1000 * run)
        now, level, more = Population(noise.at(-1, noise.stream).normal(SIZE)), 0, self.last
        while more:
            level += 1
            now = self.chosen(seen, now, level + case * 1000 + run * 10**6)
            now = self.walked(seen, now, noise.at(level, noise.stream))
            more -= now.heat == 1
        return now

    def sharpness(self, heat: float) -> float:
        """The threshold's width at an inverse temperature."""
        return self.width / math.sqrt(max(heat, 1e-3))

    def energies(self, seen: Seen, z: Tensor, heat: float) -> Tensor:
        """``|misfit|^2 / 2 (M,)`` with the threshold of this inverse temperature."""
        return seen.misfit(z, self.sharpness(heat)).square().sum(-1) / 2

    def chosen(self, seen: Seen, now: Population, key: int) -> Population:
        """The next lower level, members drawn by their weights there (systematically)."""
        if now.heat == 1:
            return now
        value = self.energies(seen, now.z, now.heat)
        heat = self._next(value, now.heat)
        weight = torch.softmax(now.heat * value - heat * self.energies(seen, now.z, heat), 0)
        comb = (torch.arange(self.members) + Streams(torch.tensor([key])).uniform(1)[0]) / self.members
        pick = torch.searchsorted(weight.cumsum(0), comb).clamp_max(self.members - 1)
        return replace(now, z=now.z[pick], heat=heat, solves=now.solves + 2 * self.members)

    def walked(self, seen: Seen, now: Population, noise: Streams) -> Population:
        """Hamiltonian steps, of a length that two in three are accepted."""
        heat, width = now.heat, self.sharpness(now.heat)
        coordinates = Coordinates.around(math.sqrt(heat) * self.gradients(seen, now.z, width, noise))

        def energy(q: Tensor) -> Tensor:
            z = coordinates(q)
            return z.square().sum(-1) / 2 + heat / 2 * seen.misfit(z, width).square().sum(-1)

        jitter = 0.6 + 0.8 * noise.at(noise.step, noise.stream + 100).uniform(1)
        kernel = HMC(now.step * jitter, self.leaps, repeats=self.repeats)
        q, info = kernel(Potential(energy), coordinates(now.z, 0.5), 0.0, noise)
        step = now.step * math.exp(1.5 * (float(info.acceptance.mean()) - 0.65))
        spent = self.members * (2 + self.repeats * self.leaps)
        return Population(coordinates(q), heat, min(max(step, 0.02), 0.6), now.solves + spent)

    def gradients(self, seen: Seen, z: Tensor, width: float, noise: Streams) -> Tensor:
        """``J^T e (k, d)`` of the misfit with random ``e``: their outer products average to ``J^T J``."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            misfit = seen.misfit(z, width)
        found = []
        for probe in range(-(-self.probes // self.members)):
            e = noise.at(noise.step, noise.stream + 200 + probe).normal(misfit.shape[-1])
            found.append(torch.autograd.grad(misfit, z, e, retain_graph=True)[0])
        return torch.cat(found)

    def _next(self, value: Tensor, heat: float) -> float:
        """The inverse temperature up to which ``share`` of the members keep their weight, by bisection."""

        def left(new: float) -> float:
            weight = torch.softmax((heat - new) * value, 0)
            return float(1 / weight.square().sum()) / self.members

        low, high = heat, 1.0
        if left(high) >= self.share:
            return high
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if left(middle) > self.share else (low, middle)
        return low
