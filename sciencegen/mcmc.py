r"""Kernels that walk at one noise level and leave its density alone: what makes a composition right.

The sum of noised energies is not the noised energy of the sum; a sampler that only steps down in sigma ends up biased.
A few steps of a kernel at each level bring the samples back to the density that the sum stands for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .energy import Energy, Evaluation, level
from .random import Streams

__all__ = ["HMC", "Kernel", "Walk"]

ROUNDING = 1e-6  # of a noise level in 32 bits


class Walk(NamedTuple):
    """A record of a walk.

    Arguments:
        evaluation: of the energy at the state that was kept.
        acceptance: mean acceptance probability ``(*B,)``, one where nothing is rejected.
    """

    evaluation: Evaluation
    acceptance: Tensor


class Kernel(Protocol):
    """``(energy, x (*B, d), sigma) -> x, Walk``."""

    def check(self, energy: Energy, sigma: float) -> None:
        """TypeError or ValueError where the kernel cannot walk ``energy`` at ``sigma``, before anything is computed."""

    def __call__(self, energy: Energy, x: Tensor, sigma: Tensor | float, noise: Streams | None = None
                 ) -> tuple[Tensor, Walk]:
        """Walk ``x`` at noise level ``sigma``."""


@dataclass(frozen=True)
class HMC:
    r"""Hamiltonian Monte Carlo; one leap is Langevin (MALA if adjusted, else ULA).

    Fresh momenta, ``leaps`` leapfrog steps, an accept decision per row. Unadjusted, its variance on ``N(0, 1)`` is
    ``1 / (1 - step^2 / 4)``. "MCMC using Hamiltonian dynamics" (Neal, 2011), https://arxiv.org/abs/1206.1901

    Arguments:
        step: leapfrog step in units of ``x``, a number or a function of sigma; it may be ``(d,)``, one a coordinate.
        leaps: leapfrog steps a proposal.
        adjusted: accept or reject by Metropolis; needs an exact energy, at a level where its value is to be believed.
        repeats: proposals a call.
    """

    step: float | Callable[[Tensor], Tensor]
    leaps: int = 1
    adjusted: bool = True
    repeats: int = 1

    def check(self, energy: Energy, sigma: float) -> None:
        """TypeError for a score-only energy if adjusted, ValueError for a level below its ``exact_from``."""
        if not self.adjusted:
            return
        if not energy.exact:
            raise TypeError(f"got {energy!r}, of which only the score is known; an adjusted kernel needs the energy: "
                            "use HMC(..., adjusted=False), or exact terms (EnergyNet, Tweedie with backprop)")
        if sigma < energy.exact_from * (1 - ROUNDING):
            raise ValueError(f"got the noise level {sigma:.3g} and {energy!r}, whose learned value is to be believed "
                             f"from {energy.exact_from:.3g} on; an adjusted kernel would accept and reject by its "
                             f"errors: end the grid there, karras(steps, low={energy.exact_from:.3g}), or use HMC(..., "
                             "adjusted=False)")

    @torch.no_grad()
    def __call__(self, energy: Energy, x: Tensor, sigma: Tensor | float, noise: Streams | None = None
                 ) -> tuple[Tensor, Walk]:
        """``x (*B, d), sigma () or (*B, 1)`` to ``x``, :class:`Walk`; errors as of :meth:`check`."""
        self.check(energy, float(torch.as_tensor(sigma).min()) if energy.exact_from else math.inf)
        noise = noise or Streams.fresh(*x.shape[:-1]).to(x.device)
        sigma = level(sigma, x)
        step = self.step(sigma) if callable(self.step) else self.step
        at, acceptance = energy.evaluate(x, sigma), x.new_zeros(x.shape[:-1])
        for repeat in range(self.repeats):
            stream = noise.at(noise.step, noise.stream + 2 * repeat)
            momentum = stream.normal(x.shape[-1], x.dtype)
            y, pushed, new = self._leap(energy, x, sigma, momentum, at.score, step)
            if self.adjusted:
                gain = at.value - new.value + ((momentum**2).sum(-1) - (pushed**2).sum(-1)) / 2
                chance = gain.exp().clamp_max(1).nan_to_num(0)
                accept = stream.at(noise.step, stream.stream + 1).uniform(1)[..., 0].to(x) < chance
                x, at, acceptance = torch.where(accept[..., None], y, x), new.where(accept, at), acceptance + chance
            else:
                x, at, acceptance = y, new, acceptance + 1
        return x, Walk(at, acceptance / self.repeats)

    def _leap(self, energy: Energy, x: Tensor, sigma: Tensor, momentum: Tensor, score: Tensor, step: Tensor | float
              ) -> tuple[Tensor, Tensor, Evaluation]:
        for _ in range(self.leaps):
            momentum = momentum + step / 2 * score
            x = x + step * momentum
            at = energy.evaluate(x, sigma)
            score = at.score
            momentum = momentum + step / 2 * score
        return x, momentum, at
