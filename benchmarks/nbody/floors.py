r"""What one can have without a network: rows that know the true solver, or nothing at all.

Every row but two answers with starts that do not overlap, lie within the walls and give each body the data's
root-mean-square speed, so that its objective is one at matched energy. The packing is at rest, and the windows are the
data's own. What a row spends is counted in rollouts of the true solver, the same for each design; a gradient through a
rollout counts as one and takes about three times as long.

References: The Cross-Entropy Method for Combinatorial and Continuous Optimization (Rubinstein, 1999),
https://doi.org/10.1023/A:1010091220143.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from sciencegen.descent import QuasiNewton
from sciencegen.energy import Potential
from sciencegen.physics import NBody

from .scoring import CENTRE, ROWS, SPEED, at_speed, objective

__all__ = ["Answer", "BestOf", "CrossEntropy", "Descent", "Packing", "Question", "Random", "Row", "Windows"]

CLEAR = 1e-3  # kept between bodies, and to the walls, by who optimises
STEEP = 4.0  # what a fault costs, over its depth
SPREAD = 0.23  # standard deviation of a coordinate of the data


class Answer(NamedTuple):
    """Starts ``(count, n, 4)`` and what each of them cost."""

    start: Tensor
    rollouts: int


@dataclass(frozen=True)
class Question:
    """From where do ``bodies`` fly to ``target`` in ``frames``? Asked ``count`` times, for so many designs."""

    bodies: int
    frames: int
    count: int = 50
    seed: int = 1000
    target: tuple[float, float] = CENTRE
    system: NBody = field(default_factory=NBody)

    def starts(self, per: int) -> Tensor:
        """Random starts ``(count, per, n, 4)`` that meet the constraints; the first are the same whatever ``per``."""
        drawn = [self.system.starts(self.bodies, per, self.seed + i, separate=True) for i in range(self.count)]
        return at_speed(torch.cat(drawn)).unflatten(0, (self.count, per))

    def ends(self, start: Tensor) -> Tensor:
        """The objective ``(*B,)`` of ``start (*B, n, 4)``, a rollout each; differentiable."""
        flat = start.flatten(0, -3)
        ends = [objective(self.system.solve(part, self.frames), self.target) for part in flat.split(ROWS)]
        return torch.cat(ends).unflatten(0, start.shape[:-2])

    def faults(self, start: Tensor) -> Tensor:
        """How deep bodies are in one another and in walls, ``(*B, m)``; at most 0 where a start is allowed."""
        return torch.cat([self.system.overlap(start), self.system.outside(start)], -1)


class Row(Protocol):
    """A way to answer; ``name`` is the table's."""

    name: str

    def __call__(self, question: Question) -> Answer: ...


@dataclass(frozen=True)
class Random:
    """Starts drawn without a thought."""

    name: str = "random"

    def __call__(self, question: Question) -> Answer:
        return Answer(question.starts(1)[:, 0], 0)


@dataclass(frozen=True)
class Packing:
    """Bodies at rest, packed round the target as tightly as discs can be: no design that may be slow is better.

    Sites of a hexagonal lattice nearest to its vertex, the middle of an edge or of a triangle, whichever is least;
    turned at random.
    """

    gap: float = 1.002  # of the distance of touching discs
    name: str = "at rest, packed"

    def __call__(self, question: Question) -> Answer:
        sites = _packed(question.bodies) * 2 * self.gap * question.system.radius
        turn = 2 * math.pi * torch.rand(question.count, 1, generator=torch.Generator().manual_seed(question.seed),
                                        dtype=sites.dtype)
        x = sites[:, 0] * turn.cos() - sites[:, 1] * turn.sin()
        y = sites[:, 0] * turn.sin() + sites[:, 1] * turn.cos()
        centre = sites.new_tensor(question.target)
        return Answer(torch.stack([x + centre[0], y + centre[1], 0 * x, 0 * y], -1), 0)


@dataclass(frozen=True)
class Windows:
    """The training set's own windows that end best, one of a simulation at most: a copy, no design.

    ``data (N, T, n, 4)`` holds what the prior was trained on; of the question's number of bodies.
    """

    data: Tensor
    name: str = "best windows of the training set"

    def __call__(self, question: Question) -> Answer:
        late = self.data[:, question.frames - 1 :]
        if not late.shape[1] or len(late) < question.count or late.shape[2] != question.bodies:
            raise ValueError(f"got data of shape {tuple(self.data.shape)}; expected at least {question.count} "
                             f"simulations of {question.frames} frames and {question.bodies} bodies")
        ends, first = objective(late[:, :, None], question.target).min(1)
        best = ends.argsort()[: question.count]
        return Answer(self.data[best, first[best]].double(), 0)


@dataclass(frozen=True)
class BestOf:
    """The best of ``rollouts`` random starts by the true solver."""

    rollouts: int

    @property
    def name(self) -> str:
        return f"best of {self.rollouts:,}, true solver"

    def __call__(self, question: Question) -> Answer:
        return Answer(_explored(question, self.rollouts, 1).start[:, 0], self.rollouts)


@dataclass(frozen=True)
class CrossEntropy:
    """The cross-entropy method on positions and headings, each design for itself, begun at the best of random starts.

    Arguments:
        rollouts: of each design, a share ``explored`` of them random.
        population, elite: of a generation.
        width: first standard deviation, in those of the data (positions) and in radians (headings).
        keep: share of the old mean and width in the new.
    """

    rollouts: int
    explored: float = 0.5
    population: int = 25
    elite: int = 5
    width: float = 0.15
    keep: float = 0.3

    @property
    def name(self) -> str:
        return f"cross-entropy, true solver, {self.rollouts:,}"

    @torch.no_grad()
    def __call__(self, question: Question) -> Answer:
        first = int(self.rollouts * self.explored)
        best = _explored(question, first, 1)
        mean, random = _free(best.start)[:, 0], torch.Generator().manual_seed(question.seed)
        width, generations = torch.full_like(mean, self.width), (self.rollouts - first) // self.population
        for _ in range(generations):
            noise = torch.randn(len(mean), self.population, *mean.shape[1:], generator=random, dtype=mean.dtype)
            asked = mean[:, None] + width[:, None] * noise
            start = _start(asked)
            ends, faults = question.ends(start), question.faults(start)
            elite = _picked(asked, (ends + _penalty(faults)).topk(self.elite, largest=False).indices)
            mean = self.keep * mean + (1 - self.keep) * elite.mean(1)
            width = self.keep * width + (1 - self.keep) * elite.std(1)
            best = _best(question, torch.cat([best.start, start], 1), torch.cat([best.ends, ends], 1), 1)
        return Answer(best.start[:, 0], first + generations * self.population)


@dataclass(frozen=True)
class Descent:
    """Gradients through the true solver: BFGS (:class:`sciencegen.descent.QuasiNewton`) from the best of random starts.

    Arguments:
        rollouts: of each design, a share ``explored`` of them random, the rest with a gradient.
        restarts: how many of the best random starts share them.
    """

    rollouts: int
    explored: float = 0.5
    restarts: int = 5

    @property
    def name(self) -> str:
        return f"gradients, true solver, {self.rollouts:,}"

    def __call__(self, question: Question) -> Answer:
        first = int(self.rollouts * self.explored)
        share = (self.rollouts - first) // self.restarts
        begun = _explored(question, first, self.restarts)
        state = lambda x: _start(x.unflatten(-1, (question.bodies, 3)))
        cost = Potential(lambda x: question.ends(state(x)) + _penalty(question.faults(state(x))))
        free = _free(begun.start).flatten(0, 1).flatten(1)
        ended = torch.cat([QuasiNewton(share - 1)(cost, part, 0.0)[0] for part in free.split(ROWS)])
        start = state(ended).unflatten(0, begun.ends.shape)
        with torch.no_grad():
            ends = question.ends(start)
        best = _best(question, torch.cat([begun.start, start], 1), torch.cat([begun.ends, ends], 1), 1)
        return Answer(best.start[:, 0], first + self.restarts * share)


class _Ranked(NamedTuple):
    """Starts ``(N, count, n, 4)``, best first, and their objectives ``(N, count)``."""

    start: Tensor
    ends: Tensor


def _best(question: Question, start: Tensor, ends: Tensor, count: int) -> _Ranked:
    """The best of ``start (N, many, n, 4)``; those that are not allowed come last."""
    wrong = (question.faults(start) > 0).any(-1)
    where = torch.where(wrong, math.inf, ends).topk(count, largest=False).indices
    return _Ranked(_picked(start, where), _picked(ends, where))


@torch.no_grad()
def _explored(question: Question, rollouts: int, count: int) -> _Ranked:
    """The best of random starts."""
    start = question.starts(rollouts)
    return _best(question, start, question.ends(start), count)


def _penalty(faults: Tensor) -> Tensor:
    return STEEP * (faults + CLEAR).clamp_min(0).sum(-1)


def _picked(values: Tensor, where: Tensor) -> Tensor:
    """``values (N, many, ...)`` at ``where (N, count)``."""
    return values[torch.arange(len(values))[:, None], where]


def _free(start: Tensor) -> Tensor:
    """``start (*B, n, 4)`` as what may change, of unit scale: ``(*B, n, 3)``, position and heading."""
    return torch.cat([(start[..., :2] - 0.5) / SPREAD, torch.atan2(start[..., 3:], start[..., 2:3])], -1)


def _start(free: Tensor) -> Tensor:
    """And back, at the data's speed."""
    heading = free[..., 2:]
    return torch.cat([0.5 + SPREAD * free[..., :2], SPEED * heading.cos(), SPEED * heading.sin()], -1)


def _packed(bodies: int) -> Tensor:
    """Sites ``(bodies, 2)`` of a hexagonal lattice of unit spacing round the origin, least mean distance to it."""
    i, j = (k.flatten() for k in torch.meshgrid(*[torch.arange(-bodies, bodies + 1.0, dtype=torch.float64)] * 2,
                                                indexing="ij"))
    lattice = torch.stack([i + j / 2, math.sqrt(0.75) * j], -1)
    middles = lattice.new_tensor([[0, 0], [0.5, 0], [0.5, math.sqrt(0.75) / 3]])
    around = [(lattice - middle)[(lattice - middle).norm(dim=-1).argsort()[:bodies]] for middle in middles]
    return min(around, key=lambda sites: float(sites.norm(dim=-1).mean()))
