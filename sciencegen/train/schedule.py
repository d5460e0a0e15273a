r"""What a step of a training sees, as a function of the seed and the step alone.

The row at place ``i`` of the batch of step ``k``, its part (joint, marginal, given), its noise level and its noise
depend on ``(seed, k, i)`` only, whatever came before and however many processes share the batch. The levels of a batch
are stratified, one in each of ``batch`` equally likely intervals, which lowers the variance of the gradient:
"Variational Diffusion Models" (Kingma et al., 2021), https://arxiv.org/abs/2107.00630, appendix I.1.

Nothing depends on how long the training will be, so that it can be ended by the clock and made longer later. The
learning rate falls with the root of the step, and the weights are averaged over a window that is a fixed share of the
steps so far: "Analyzing and Improving the Training Dynamics of Diffusion Models" (Karras et al., 2024),
https://arxiv.org/abs/2312.02696, sections 2.3 and 3.1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..priors.base import Draw
from ..random import Streams

__all__ = ["Levels", "Schedule"]

UNIFORM = 4  # numbers beside the noise that a row is given, for whatever else a prior's loss draws


@dataclass(frozen=True)
class Levels:
    """Noise levels to train at: log-normal around ``center``, cut off at ``low`` and ``high``.

    ``spread`` is the standard deviation of ``log sigma``; ``math.inf`` makes the levels log-uniform. The log-normal is
    that of "Elucidating the Design Space of Diffusion-Based Generative Models" (Karras et al., 2022),
    https://arxiv.org/abs/2206.00364, made wider because sums of energies are sampled at all levels.
    """

    low: float = 2e-3
    high: float = 80.0
    center: float = 0.4
    spread: float = 1.6

    def __post_init__(self) -> None:
        if not (0 < self.low < self.high < math.inf and self.center > 0 and self.spread > 0):
            raise ValueError(f"got {self}; expected 0 < low < high, center > 0 and spread > 0")

    def __call__(self, uniform: Tensor) -> Tensor:
        """The quantile function: numbers in (0, 1) to ``sigma``, of the same shape, in float64."""
        low, high, center = (torch.tensor(s, dtype=torch.float64).log() for s in (self.low, self.high, self.center))
        uniform = uniform.double()
        if math.isinf(self.spread):
            return torch.exp(low + (high - low) * uniform)
        below, above = (torch.special.ndtr((end - center) / self.spread) for end in (low, high))
        normal = torch.special.ndtri(below + (above - below) * uniform)
        return torch.exp(center + self.spread * normal).clamp(self.low, self.high)


@dataclass(frozen=True)
class Schedule:
    """Everything that decides what a training computes, beside the prior and the data; see :func:`fit`.

    ``rows`` is how many the data have, ``size`` how many numbers are in each; the others are as in
    :func:`sciencegen.train.fit`.
    """

    rows: int
    size: int
    batch: int
    rate: float
    warmup: int
    steady: int
    window: float
    clip: float
    decay: float
    levels: Levels
    shares: tuple[float, ...]
    precision: str | None
    seed: int
    every: int

    def __post_init__(self) -> None:
        whole = min(self.rows, self.batch, self.steady, self.every) >= 1 and self.warmup >= 0
        if not (whole and 0 < self.window < 1 and self.rate > 0 and 0 <= self.seed < 2**31):
            raise ValueError(f"got {self.rows} rows, batch={self.batch}, rate={self.rate}, warmup={self.warmup}, "
                             f"steady={self.steady}, every={self.every}, window={self.window}, seed={self.seed}; "
                             "expected at least one row, a row per batch and one step, a rate above 0, 0 < window < 1 "
                             "and 0 <= seed < 2**31")

    def rate_at(self, step: Tensor | int) -> Tensor:
        """Learning rate of a step, counted from 0, of the same shape."""
        count = torch.as_tensor(step, dtype=torch.float64) + 1
        return self.rate * (count / max(self.warmup, 1)).clamp_max(1) / (count / self.steady).clamp_min(1).sqrt()

    def keep_at(self, step: int) -> float:
        """What the averaged weights keep of themselves at a step: their window is a share of the steps so far."""
        return step / (step + 1 / self.window)

    def draw(self, step: int, places: Tensor) -> Draw:
        """What the rows at ``places (b,)`` of a step's batch are given: level, noise, part and uniform numbers."""
        noise = Streams(places + self.seed * 2**32, step)
        height, choice, *others = noise.at(step, 1).uniform(2 + UNIFORM).unbind(-1)
        ends = torch.tensor(self.shares, dtype=torch.float64, device=places.device).cumsum(0)
        part = (choice[:, None] >= ends[:-1] / ends[-1]).sum(-1)
        sigma = self.levels((places + height) / self.batch)[:, None]
        return Draw(sigma, noise.normal(self.size), part, torch.stack(others, -1))

    def order(self, places: Tensor, start: int = 0) -> Iterator[Tensor]:
        """Which rows ``(b,)`` stand at ``places`` of each step from ``start`` on, for ever; epochs are permutations."""
        epoch, permutation = -1, places
        for step in itertools.count(start):
            wanted = step * self.batch + places
            rows = torch.empty_like(wanted)
            for e in range(int(wanted[0]) // self.rows, int(wanted[-1]) // self.rows + 1):
                if e != epoch:
                    epoch, permutation = e, self._permutation(e)
                here = wanted // self.rows == e
                rows[here] = permutation[wanted[here] % self.rows]
            yield rows

    def _permutation(self, epoch: int) -> Tensor:
        return Streams(torch.tensor(self.seed), epoch, 2).uniform(self.rows).argsort(stable=True)
