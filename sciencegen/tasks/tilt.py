r"""Rare events: forecasts that are drawn where an objective is low, and the weights that make them draws of the prior.

A roll-out is a function of standard normal numbers ``z``, what its windows start from. The most likely ``z`` under the
tilt, which minimise ``|z|^2 / 2 + weight objective``, are found from many starts by going down the roll-out of the
prior's Gaussian; members are then drawn about them, and about zero, ``z ~ N(s_j, 1)``, and have the exact weights

.. math:: w = \frac{p(z)}{q(z)} = \Big( \frac{1}{J} \sum_j \exp(z \cdot s_j - |s_j|^2 / 2) \Big)^{-1} .

So whatever the shifts are, ``mean(w f)`` over members is unbiased for the mean of ``f`` over the prior's forecasts, of
a network's sampler too; good shifts make it precise. "Large Deviations Techniques in importance sampling: Importance
Sampling, Large Deviations, and Differential Games" (Dupuis & Wang, 2004), https://doi.org/10.1080/10451120410001733845;
the mixture's weights: "Optimally Combining Sampling Techniques for Monte Carlo Rendering" (Veach & Guibas, 1995),
https://doi.org/10.1145/218380.218498.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..random import Streams
from .rollout import Rollout, Window

__all__ = ["Shifted", "Shifts", "joined", "likely"]

STEPS, RATE = 120, 0.15  # of the descent to the most likely numbers


@dataclass(frozen=True)
class Numbers:
    """Random numbers of one window: a row's streams, or what is given in their place, with a shift of the start's.

    Arguments:
        streams: one a row.
        shift: of the numbers that a window starts from, ``(M, n)``.
        given: whether the shift is all there is, without the streams' own numbers.
        step, stream: where they are.
    """

    streams: Streams
    shift: Tensor
    given: bool = False
    step: int = 0
    stream: int = 0

    @property
    def seeds(self) -> Tensor:
        """Of the streams."""
        return self.streams.seeds

    def at(self, step: int, stream: int = 0) -> Numbers:
        """The same rows at another step or stream."""
        return Numbers(self.streams, self.shift, self.given, step, stream)

    def normal(self, size: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """``(M, size)``, shifted where a path starts."""
        starts = (self.step, self.stream) == (-1, 0)
        if starts and self.given:
            return self.shift.to(dtype)
        drawn = self.streams.at(self.step, self.stream).normal(size, dtype)
        return drawn + self.shift.to(drawn) if starts else drawn

    def split(self, count: int) -> list[Numbers]:
        """The rows in order, ``count`` at a time."""
        return [Numbers(s, m, self.given, self.step, self.stream) for s, m
                in zip(self.streams.split(count), self.shift.split(count))]


@dataclass(frozen=True)
class Shifted:
    """Random numbers of a roll-out whose windows' starts are shifted, ``shifts[k] (M, n_k)`` in window ``k``."""

    streams: Streams
    shifts: Sequence[Tensor]
    given: bool = False

    @property
    def seeds(self) -> Tensor:
        """Of the rows."""
        return self.streams.seeds

    def branch(self, index: int) -> Numbers:
        """Those of a window."""
        return Numbers(self.streams.branch(index), self.shifts[index], self.given)


@dataclass(frozen=True)
class Shifts:
    """What members are drawn about: ``J`` points a sample, ``(S, J, n)`` numbers of all windows, the first zero."""

    points: Tensor
    sizes: tuple[int, ...]

    def numbers(self, streams: Streams, members: int) -> Shifted:
        """The random numbers of all rows, each member about the next point."""
        which = torch.arange(members, device=self.points.device) % self.points.shape[1]
        return Shifted(streams, self.points[:, which].flatten(0, 1).split(self.sizes, -1))

    def weights(self, streams: Streams, members: int) -> Tensor:
        """``log p(z) / q(z)`` of each member, ``(S, M)`` in float64."""
        shifted, points = self.numbers(streams, members), self.points.double()
        drawn = [shifted.branch(k).at(-1).normal(size) for k, size in enumerate(self.sizes)]
        z = torch.cat(drawn, -1).reshape(len(points), members, -1)
        exponents = z @ points.mT - points.square().sum(-1)[:, None] / 2
        which = torch.arange(members, device=points.device) % points.shape[1]
        share = torch.bincount(which, minlength=points.shape[1]).double() / members
        return -(exponents + share.log()).logsumexp(-1)


def likely(roll: Rollout, windows: Sequence[Window], start: Mapping[str, Tensor], objective: Callable[..., Tensor],
           weight: float, horizon: int, points: int, seeds: Tensor) -> Shifts:
    """The most likely numbers under the tilt, from ``points - 1`` starts for each sample, and zero.

    Arguments:
        start: values of each sample ``(S, ...)``; ``roll`` and ``windows`` are of the prior's Gaussian.
        objective: ``(**parts) -> (rows,)`` of the horizon's frames.
        seeds: ``(S,)``, of the starts.
    """
    sizes, samples = tuple(len(window.view.rest) for window in windows), len(seeds)
    rows = {k: v.repeat_interleave(points - 1, 0) for k, v in start.items()}
    streams = Streams(seeds.repeat_interleave(points - 1) + torch.arange(points - 1).repeat(samples).to(seeds) + 2**61)
    z = streams.normal(sum(sizes), roll.dtype).requires_grad_()
    descent = torch.optim.Adam([z], RATE)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(descent, STEPS, RATE / 100)
    for _ in range(STEPS):
        descent.zero_grad()
        with torch.enable_grad():
            parts = joined(roll(windows, rows, Shifted(streams, z.split(sizes, -1), given=True)), roll, horizon)
            (z.square().sum() / 2 + weight * objective(**parts).sum()).backward()
        descent.step()
        fall.step()
    found = z.detach().reshape(samples, points - 1, -1)
    return Shifts(torch.cat([torch.zeros_like(found[:, :1]), found], 1), sizes)


def joined(pieces: Iterable[Mapping[str, Tensor]], roll: Rollout, horizon: int) -> dict[str, Tensor]:
    """The horizon's frames of what all windows brought, ``(M, horizon, ...)``, and what is fixed."""
    pieces = list(pieces)
    moving = {k: torch.cat([piece[k] for piece in pieces], 1)[:, :horizon] for k in roll.frames.drawn}
    return moving | {k: pieces[0][k] for k in roll.frames.fixed}
