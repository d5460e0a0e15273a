r"""Searches that only call the solver: random, the cross-entropy method, an evolution strategy.

All call the coarse solver, the one that made the training data, and nothing else; wings too near to one another are
rated by how near, without a call. They hand over the best of all that they have seen, each as the coarse solver says.

References: The Cross-Entropy Method for Combinatorial and Continuous Optimization (Rubinstein, 1999),
https://doi.org/10.1023/A:1010091220143; The CMA Evolution Strategy: A Tutorial (Hansen, 2016),
https://arxiv.org/abs/1604.00772, by the package cma.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sciencegen.physics.mean_forces import MeanForces

from .question import Designed, Meter, Question
from .space import STEEP, Space

__all__ = ["BestOf", "CrossEntropy", "Evolution", "Random"]

BAD = 100.0  # worse than any flow
NOTHING = 1e-6  # of a search's width, in the space's units


@dataclass
class Seen:
    """All vectors that were rated, ``x`` and ``value``, low is good; the solver is asked only where all is allowed."""

    space: Space
    meter: Meter
    x: list[Tensor] = field(default_factory=list)
    value: list[Tensor] = field(default_factory=list)

    @torch.no_grad()
    def rate(self, x: Tensor) -> Tensor:
        """The values ``(n,)`` of ``x (n, d)``."""
        wings, outside = self.space.wings(x), self.space.outside(x)
        value, kept = BAD + outside, self.space.limits.kept(wings)
        if kept.any():
            value[kept] = (STEEP * outside[kept] - self.meter(wings.row(kept))).nan_to_num(BAD)
        self.x.append(x)
        self.value.append(value)
        return value

    def best(self, count: int) -> Designed:
        """The best that may be handed over."""
        x, value = torch.cat(self.x), torch.cat(self.value)
        order = value.argsort()[:count]
        return Designed(self.space.wings(x[order[value[order] < BAD]]), calls=self.meter.calls,
                        seconds=self.meter.seconds)


@dataclass(frozen=True)
class Random:
    """Wings drawn without a thought."""

    space: Space
    name: str = "random within limits"

    def __call__(self, question: Question) -> Designed:
        return Designed(self.space.wings(self.space.draw(question.bodies, question.count, question.random)))


@dataclass(frozen=True)
class BestOf:
    """The best of ``calls`` drawn."""

    space: Space
    judge: MeanForces
    calls: int

    @property
    def name(self) -> str:
        return "random, the best"

    def __call__(self, question: Question) -> Designed:
        seen = Seen(self.space, Meter(self.judge))
        seen.rate(self.space.draw(question.bodies, self.calls, question.random))
        return seen.best(question.count)


@dataclass(frozen=True)
class CrossEntropy:
    """A Gaussian with independent coordinates, fitted to the best of random wings, then to the best of its own.

    Arguments:
        calls: of the solver, a share ``explored`` of them random.
        population, elite: of a generation.
        keep: share of the old mean and width in the new.
    """

    space: Space
    judge: MeanForces
    calls: int
    explored: float = 0.25
    population: int = 20
    elite: int = 5
    keep: float = 0.2
    name: str = "cross-entropy, true solver"

    @torch.no_grad()
    def __call__(self, question: Question) -> Designed:
        seen, random = Seen(self.space, Meter(self.judge)), question.random
        x = self.space.draw(question.bodies, max(self.elite, int(self.calls * self.explored)), random)
        best = x[seen.rate(x).topk(self.elite, largest=False).indices]
        mean, width = best.mean(0), best.std(0)
        while seen.meter.calls < self.calls and bool((width > NOTHING).any()):  # outside for good there is no call
            count = min(self.population, self.calls - seen.meter.calls)
            x = mean + width * torch.randn(count, len(mean), generator=random, dtype=mean.dtype)
            best = x[seen.rate(x).topk(min(self.elite, count), largest=False).indices]
            mean = self.keep * mean + (1 - self.keep) * best.mean(0)
            width = self.keep * width + (1 - self.keep) * best.std(0, correction=0)
        return seen.best(question.count)


@dataclass(frozen=True)
class Evolution:
    """CMA-ES from the best of random wings, with a first step of ``width``."""

    space: Space
    judge: MeanForces
    calls: int
    explored: float = 0.25
    width: float = 0.25
    name: str = "CMA-ES, true solver"

    def __call__(self, question: Question) -> Designed:
        import cma

        seen = Seen(self.space, Meter(self.judge))
        x = self.space.draw(question.bodies, max(1, int(self.calls * self.explored)), question.random)
        first = x[seen.rate(x).argmin()].numpy()
        search = cma.CMAEvolutionStrategy(first, self.width, {"seed": question.seed + 1, "verbose": -9})
        while not search.stop() and seen.meter.calls + search.popsize <= self.calls:
            asked = search.ask()
            search.tell(asked, seen.rate(torch.from_numpy(np.array(asked))).tolist())
        return seen.best(question.count)
