r"""Assimilation by particles: for frames of few numbers, whose posterior may have any shape.

A window goes on by its prior's Gaussian about its conditional mean, ``x' ~ N(f(x), Q)``: ``f`` is Tweedie's mean at the
highest noise level, ``Q`` what the prior's own draws are about it. So a particle is moved with the readings in sight
(the optimal proposal), and is weighted by how likely they were. Backward, paths choose their ancestors by the density
of what came next: a smoother whose past does not degenerate to a few ancestors, "Monte Carlo smoothing for nonlinear
time series" (Godsill, Doucet & West, 2004), https://doi.org/10.1198/016214504000000151
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..linear import Sparse
from ..random import Streams
from .chains import Chain, Sight
from .sweeps import Draws, Pass

__all__ = ["Particles"]

FRESH, AHEAD, CHOICE, BACK = range(1, 5)  # streams of random numbers
CHUNK = 2**24  # numbers in the distances that are made at once


class Step(NamedTuple):
    """The transition from ``windows (N, n)`` to about ``mean (N, r)``, by a factor of its covariance."""

    windows: Tensor
    mean: Tensor
    lower: Tensor


@dataclass(frozen=True)
class Particles:
    """A particle filter and a backward-simulation smoother.

    Arguments:
        count: of particles, of which the members are drawn.
        starts: of the first window, from which particles are chosen, times ``count``.
        trials: draws of the prior a step, by which the spread of its transitions is known.
    """

    count: int = 2048
    starts: int = 8
    trials: int = 128

    def __call__(self, chain: Chain, sights: list[list[Sight]], draws: Draws, smooth: bool) -> Pass:
        """Forward, and backward if it is to smooth."""
        members, total = len(draws.seeds), sum(len(s.which) for row in sights for s in row)
        noise = draws.streams(self.count)
        now = draws.first(self.starts * self.count)
        states = now.new_zeros(members, chain.long.size)
        made = Pass(states, states.new_zeros(total), states.new_zeros(total))
        steps: list[Step] = []
        for index in range(chain.count):
            if index:
                steps.append(self._step(chain, now, draws, index))
                now = self._moved(chain, steps[-1], sights[index], noise.at(index), made)
            else:
                now = self._begun(chain, now, sights[0], noise.at(0), made)
            rows = chain.rows(index)
            fresh = torch.isin(chain.frames[rows], torch.tensor(chain.fresh(index))) if index else slice(0)
            states[:, rows[fresh]] = now[_spread(members, self.count)][:, fresh]
        if smooth:
            self._back(chain, now, steps, draws.streams(members), states)
        return made

    def _begun(self, chain: Chain, first: Tensor, sights: list[Sight], noise: Streams, made: Pass) -> Tensor:
        """Particles of the first window, chosen by what it sees, frame by frame."""
        logs, rows, by_frame = first.new_zeros(len(first)), chain.rows(0), {sight.frame: sight for sight in sights}
        chosen = self._chosen(logs, noise, made, False)
        for frame in chain.fresh(0):
            if frame in by_frame:
                sight = by_frame[frame]
                gap = sight.value - sight.read(first)
                _tell(made, sight, gap, sight.noise**2, logs)
                logs = logs - (gap / sight.noise).square().sum(-1) / 2
                chosen = self._chosen(logs, noise, made, True)
            here = (chain.frames[rows] == frame) | (chain.frames[rows] < 0)
            some = chosen[_spread(len(made.states), self.count)]
            made.states[:, rows[here]] = first[some][:, here]
        return first[chosen]

    def _step(self, chain: Chain, windows: Tensor, draws: Draws, index: int) -> Step:
        shared = windows[:, chain.carried.rows]
        mean = draws.mean(shared)
        some = _spread(min(self.trials, len(shared)), len(shared))
        off = draws.ahead(shared[some], index) - mean[some]
        cov = off.mT @ off / len(off)
        cov.diagonal().add_(1e-9 * cov.diagonal().mean() + torch.finfo(cov.dtype).tiny)
        return Step(windows, mean, torch.linalg.cholesky(cov))

    def _moved(self, chain: Chain, step: Step, sights: list[Sight], noise: Streams, made: Pass) -> Tensor:
        """Particles of the next window, drawn and chosen with what it sees in sight."""
        known, free = chain.known.rows, chain.known.rest
        whole = torch.empty_like(step.windows)
        whole[:, known], whole[:, free] = step.windows[:, chain.carried.rows], step.mean
        white = noise.at(noise.step, FRESH).normal(len(free))
        if not sights:
            whole[:, free] += white @ step.lower.mT
            return whole
        sight = _merged(sights)
        unit = torch.eye(chain.known.size, dtype=whole.dtype)[free]
        seen = sight.read(unit).mT @ step.lower  # (m, r)
        spread = seen @ seen.mT
        gap = sight.value - sight.read(whole)
        logs = whole.new_zeros(len(whole))
        _tell(made, sight, gap, spread.diagonal() + sight.noise**2, logs)
        system = torch.linalg.cholesky(spread + torch.diag(sight.noise**2))
        logs = -torch.linalg.solve_triangular(system, gap.mT, upper=False).square().sum(0) / 2
        chosen = self._chosen(logs, noise, made, True)
        whole, gap = whole[chosen], gap[chosen]
        error = sight.noise * noise.at(noise.step, AHEAD).normal(len(sight.noise))
        pull = torch.cholesky_solve((gap - error - white @ seen.mT).mT, system).mT
        whole[:, free] += (white + pull @ seen) @ step.lower.mT
        return whole

    def _chosen(self, logs: Tensor, noise: Streams, made: Pass, told: bool) -> Tensor:
        """Particles by their weights, systematically."""
        weights = torch.softmax(logs, 0)
        if told:
            made.size.append(float(1 / weights.square().sum()))
        start = noise.at(noise.step, CHOICE).uniform(1)[0, 0]
        places = (torch.arange(self.count, dtype=weights.dtype) + start) / self.count
        return torch.searchsorted(weights.cumsum(0), places).clamp_max(len(logs) - 1)

    @staticmethod
    def _back(chain: Chain, last: Tensor, steps: list[Step], noise: Streams, states: Tensor) -> None:
        """Paths from the end to the beginning, each ancestor by the density of what came next."""
        window = last[_spread(len(states), len(last))]
        states[:, chain.rows(chain.count - 1)] = window
        for index in reversed(range(chain.count - 1)):
            chosen = _ancestors(steps[index], window[:, chain.known.rest], noise.at(index, BACK))
            window = steps[index].windows[chosen]
            states[:, chain.rows(index)] = window


def _ancestors(step: Step, came: Tensor, noise: Streams) -> Tensor:
    """For each of ``came (M, r)`` a particle, drawn by the density of coming from it."""
    white = lambda x: torch.linalg.solve_triangular(step.lower, x.mT, upper=False).mT
    mean, found, uniform = white(step.mean), [], noise.uniform(1)
    for rows, draw in zip(white(came).split(max(CHUNK // len(mean), 1)), uniform.split(max(CHUNK // len(mean), 1))):
        chances = torch.softmax(-torch.cdist(rows, mean).square() / 2, -1)
        found.append(torch.searchsorted(chances.cumsum(-1), draw.to(chances))[:, 0].clamp_max(len(mean) - 1))
    return torch.cat(found)


def _tell(made: Pass, sight: Sight, gap: Tensor, variance: Tensor, logs: Tensor) -> None:
    """What was expected: the mean of all particles, and its standard deviation."""
    weights = torch.softmax(logs, 0)
    mean = weights @ gap
    made.gaps[sight.which] = mean
    made.expected[sight.which] = (variance + weights @ (gap - mean).square()).sqrt()


def _merged(sights: list[Sight]) -> Sight:
    """What several frames see, as one."""
    width = max(s.read.index.shape[1] for s in sights)
    wide = lambda v: torch.nn.functional.pad(v, (0, width - v.shape[1]))
    index, weight = (torch.cat([wide(getattr(s.read, name)) for s in sights]) for name in ("index", "weight"))
    read = Sparse(index, weight, sights[0].read.size)
    which, value, noise = (torch.cat([getattr(s, k) for s in sights]) for k in ("which", "value", "noise"))
    return Sight(sights[0].frame, which, read, value, noise)


def _spread(some: int, count: int) -> Tensor:
    """So many of ``count`` places, evenly."""
    return (torch.arange(some) * count) // some
