r"""The same question in few evaluations: windows minus overlaps, guidance that sees the dynamics, and a finish.

Three things carry it. *Counting*: windows minus overlaps is the chain's own law at ``sigma = 0``, an average is not.
*Guidance at Tweedie's mean, through the prior*: the gradient moves a whole trajectory as its dynamics allow, so that no
push is left for the denoiser to undo. *The finish*: ``x <- mean(x, sigma)`` a few times at one noise level, without
guidance, which climbs to the nearest ridge of the smoothed law. What is stiff (a frame against the last one) settles at
once, and what is soft (which trajectory it is) stays, so that designs become consistent and stay diverse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sciencegen.energy import Energy, Potential
from sciencegen.guide import Tweedie
from sciencegen.layout import Layout
from sciencegen.mcmc import HMC
from sciencegen.sample import Ancestral, karras

__all__ = ["Ours", "finished", "miss"]


def miss(layout: Layout, target: Tensor) -> Callable[[Tensor], Tensor]:
    """``x (*B, d) -> (*B,)``: distances of the bodies' last positions to ``target (2,)``, summed, in box units."""
    (name,) = layout.variables

    def objective(x: Tensor) -> Tensor:
        gap = layout.unpack(x)[name][..., -1, :, :2] - target.to(x)
        return (gap.square().sum(-1) + 1e-12).sqrt().sum(-1)

    return objective


@torch.no_grad()
def finished(energy: Energy, x: Tensor, sigma: float, times: int) -> Tensor:
    """``x (B, d)`` climbed towards the ridge of the law smoothed by ``sigma``: Tweedie's mean, ``times`` times."""
    for _ in range(times):
        x = energy.mean(x, sigma)
    return x


@dataclass(frozen=True)
class Ours:
    """Ancestral steps with unadjusted Langevin corrections, guided at Tweedie's mean, and a finish.

    Arguments:
        levels, high, low: of the noise grid.
        repeats, step: Langevin corrections a level, and their step in units of sigma; no correction if 0.
        weight: of the objective.
        finish, at: times, and the noise level, of the finish.
    """

    levels: int = 30
    high: float = 20.0
    low: float = 0.1
    repeats: int = 3
    step: float = 0.8
    weight: float = 80.0
    finish: int = 33
    at: float = 0.2

    @property
    def evaluations(self) -> int:
        """Of the network, one after another; a pass back through it counts as one more."""
        scores = 1 + self.levels * (1 + self.repeats) if self.repeats else self.levels
        return 2 * scores + self.finish

    def __call__(self, energy: Energy, objective: Callable[[Tensor], Tensor], size: int, seeds: Tensor) -> Tensor:
        """Clean states ``(B, d)`` in float32; ``seeds (B,)``."""
        walk = HMC(lambda sigma: self.step * sigma, adjusted=False, repeats=self.repeats) if self.repeats else None
        sampler = Ancestral(karras(self.levels, self.low, self.high, dtype=torch.float32), walk)
        guided = Tweedie(energy, self.weight * Potential(objective)) if self.weight else energy
        x = sampler(guided, sampler.start(len(seeds), size, seeds), seeds)
        return finished(energy, x, self.at, self.finish)
