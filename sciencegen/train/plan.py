r"""What a step of a training sees, as a function of the seed and the step alone.

The row at place ``i`` of the batch of step ``k``, its part (joint or marginal), its noise level and its noise depend on
``(seed, k, i)`` only, whatever came before and however many processes share the batch. The levels of a batch are
stratified, one in each of ``batch`` equally likely intervals, which lowers the variance of the gradient:
"Variational Diffusion Models" (Kingma et al., 2021), https://arxiv.org/abs/2107.00630, appendix I.1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..noise import Noise
from ..priors import Draw

__all__ = ["Levels", "Plan"]


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
class Plan:
    """Everything that decides what a training computes, beside the energy and the data; see :func:`fit`.

    ``rows`` is how many the data have; ``shares`` and the others are as in :func:`sciencegen.train.fit`.
    """

    rows: int
    steps: int
    batch: int
    rate: float
    warmup: int
    ema: float
    clip: float
    decay: float
    levels: Levels
    shares: tuple[float, ...]
    precision: str | None
    seed: int

    def __post_init__(self) -> None:
        if min(self.rows, self.steps, self.batch) < 1 or not 0 <= self.ema < 1 or not 0 <= self.seed < 2**31:
            raise ValueError(f"got {self.rows} rows, steps={self.steps}, batch={self.batch}, ema={self.ema}, "
                             f"seed={self.seed}; expected at least one row, step and row per batch, 0 <= ema < 1 and "
                             "0 <= seed < 2**31")

    def rate_at(self, step: Tensor | int) -> Tensor:
        """Learning rate of a step, counted from 0, of the same shape."""
        step = torch.as_tensor(step, dtype=torch.float64)
        rise = ((step + 1) / max(self.warmup, 1)).clamp_max(1)
        return self.rate * rise * (1 + torch.cos(math.pi * step / self.steps)) / 2

    def draw(self, step: int, places: Tensor, size: int) -> Draw:
        """What is drawn of the rows at ``places (b,)`` of a step's batch."""
        noise = Noise(places + self.seed * 2**32, step)
        height, choice = noise.at(step, 1).uniform(2).unbind(-1)
        ends = torch.tensor(self.shares, dtype=torch.float64, device=places.device).cumsum(0)
        part = (choice[:, None] >= ends[:-1] / ends[-1]).sum(-1)
        sigma = self.levels((places + height) / self.batch)[:, None]
        return Draw(sigma, noise.normal(size), part, sigma.new_zeros(len(places), 0))

    def order(self, places: Tensor, start: int = 0) -> Iterator[Tensor]:
        """Which rows ``(b,)`` stand at ``places`` of each step from ``start`` on; each epoch is a new permutation."""
        epoch, permutation = -1, places
        for step in range(start, self.steps):
            wanted = step * self.batch + places
            rows = torch.empty_like(wanted)
            for e in range(int(wanted[0]) // self.rows, int(wanted[-1]) // self.rows + 1):
                if e != epoch:
                    epoch, permutation = e, self._permutation(e)
                here = wanted // self.rows == e
                rows[here] = permutation[wanted[here] % self.rows]
            yield rows

    def _permutation(self, epoch: int) -> Tensor:
        return Noise(torch.tensor(self.seed), epoch, 2).uniform(self.rows).argsort(stable=True)
