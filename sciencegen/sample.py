r"""Noise grids and samplers: from ``N(0, sigma_0^2)`` down to the clean state.

All walk the probability flow ``dx / d sigma = -sigma score(x, sigma)``, or its stochastic twin with the same marginals.
A sampler is data: a grid of noise levels and, optionally, a kernel that corrects the samples at each level.
"""

from __future__ import annotations

import abc
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .energy import Energy
from .mcmc import Info, Kernel
from .noise import Noise

__all__ = ["Ancestral", "Annealed", "Euler", "Heun", "Multistep", "Sampler", "karras"]


def karras(steps: int, low: float = 2e-3, high: float = 80.0, rho: float = 7.0,
           dtype: torch.dtype | None = None) -> Tensor:
    """``steps + 1`` noise levels from ``high`` down to ``low``, evenly spaced in ``sigma^(1/rho)``.

    "Elucidating the Design Space of Diffusion-Based Generative Models" (Karras et al., 2022),
    https://arxiv.org/abs/2206.00364
    """
    if steps < 1 or not 0 < low < high:
        raise ValueError(f"got steps={steps}, low={low}, high={high}; expected steps >= 1 and 0 < low < high")
    ramp = torch.linspace(high ** (1 / rho), low ** (1 / rho), steps + 1, dtype=torch.float64) ** rho
    return ramp.to(dtype or torch.get_default_dtype())


@dataclass(frozen=True)
class Sampler(abc.ABC):
    """Steps an energy down ``sigmas (n + 1,)``; after each step the ``corrector``, if any, walks at the new level."""

    sigmas: Tensor
    corrector: Kernel | None = None

    def __post_init__(self) -> None:
        s = self.sigmas
        if s.ndim != 1 or len(s) < 2 or not s.is_floating_point() or not bool((s.diff() < 0).all() and s[-1] >= 0):
            raise ValueError(f"got sigmas {s.tolist()}; expected two or more falling noise levels, floats and none "
                             "below zero")

    def noise(self, count: int, size: int, seeds: Tensor | None = None) -> Tensor:
        """Start ``(count, size)``: ``sigmas[0]``-scaled, one stream of random numbers per row (``seeds (count,)``)."""
        noise = Noise.fresh(count) if seeds is None else Noise(_checked(seeds, count).cpu())
        start = noise.at(-1).normal(size, self.sigmas.dtype)
        return self.sigmas[0] * start.to(self.sigmas.device)

    @abc.abstractmethod
    def step(self, energy: Energy, x: Tensor, a: Tensor, b: Tensor, noise: Noise | None = None) -> Tensor:
        """From level ``a`` down to ``b``, ``(*B, d)``; what is random comes from ``noise`` (None: fresh)."""

    def path(self, energy: Energy, x: Tensor, seeds: Tensor | None = None
             ) -> Iterator[tuple[Tensor, Tensor, Info | None]]:
        """Yield ``(sigma, x, info)`` after each step and its correction; no graph is kept from step to step."""
        noise = Noise.fresh(*x.shape[:-1]) if seeds is None else Noise(_checked(seeds, len(x)))
        noise = noise.to(x.device)
        memory: Any = None
        for index, (a, b) in enumerate(itertools.pairwise(self.sigmas.to(x))):
            info = None
            with torch.no_grad():
                x, memory = self._advance(energy, x, a, b, noise.at(index), memory)
                if self.corrector is not None and b > 0:
                    x, info = self.corrector(energy, x, b, noise.at(index, stream=1))
            yield b, x, info

    def __call__(self, energy: Energy, x: Tensor, seeds: Tensor | None = None) -> Tensor:
        """The end of the path, ``(*B, d)`` at level ``sigmas[-1]``."""
        for _, end, _ in self.path(energy, x, seeds):
            x = end
        return x

    def _advance(self, energy: Energy, x: Tensor, a: Tensor, b: Tensor, noise: Noise | None, memory: Any
                 ) -> tuple[Tensor, Any]:
        return self.step(energy, x, a, b, noise), memory


@dataclass(frozen=True)
class Euler(Sampler):
    """First order along the probability flow: one score a step."""

    def step(self, energy: Energy, x: Tensor, a: Tensor, b: Tensor, noise: Noise | None = None) -> Tensor:
        return torch.addcmul(x, energy.score(x, a), (a - b) * a)


@dataclass(frozen=True)
class Heun(Sampler):
    """Second order along the probability flow: two scores a step (one on the step to zero)."""

    def step(self, energy: Energy, x: Tensor, a: Tensor, b: Tensor, noise: Noise | None = None) -> Tensor:
        first = -a * energy.score(x, a)
        y = x + (b - a) * first
        return y if b == 0 else x + (b - a) / 2 * (first - b * energy.score(y, b))


@dataclass(frozen=True)
class Ancestral(Sampler):
    """The stochastic twin: down to ``b^2 / a`` along the flow, then noise back up to ``b``; one score a step."""

    def step(self, energy: Energy, x: Tensor, a: Tensor, b: Tensor, noise: Noise | None = None) -> Tensor:
        noise = noise or Noise.fresh(*x.shape[:-1]).to(x.device)
        return _ancestral(energy, x, a, b, noise.normal(x.shape[-1], x.dtype))

    def _advance(self, energy: Energy, x: Tensor, a: Tensor, b: Tensor, noise: Noise, memory: Any
                 ) -> tuple[Tensor, Any]:
        fresh, *drawn = memory or noise.ahead(x.shape[-1], x.dtype)
        return _ancestral(energy, x, a, b, fresh), drawn


@dataclass(frozen=True)
class Multistep(Sampler):
    """DPM-Solver++ (2M): second order with one score a step, by remembering the last Tweedie mean.

    "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models" (Lu et al., 2022),
    https://arxiv.org/abs/2211.01095. A lone :meth:`step` has nothing to remember and is of first order.
    """

    def step(self, energy: Energy, x: Tensor, a: Tensor, b: Tensor, noise: Noise | None = None) -> Tensor:
        return self._advance(energy, x, a, b, noise, None)[0]

    def _advance(self, energy: Energy, x: Tensor, a: Tensor, b: Tensor, noise: Noise | None, memory: Any
                 ) -> tuple[Tensor, Any]:
        mean = energy.mean(x, a)
        ahead = mean
        last, before, end = memory or (None, None, None)
        if x is end and b > 0:  # else a corrector moved it: the last mean is of elsewhere
            ahead = torch.lerp(mean, last, (torch.log(b / a) / torch.log(before / a) / 2).to(mean))
        end = torch.lerp(ahead, x.to(mean), (b / a).to(mean))
        return end, (mean, a, end)


@dataclass(frozen=True)
class Annealed(Sampler):
    """No step of its own: the corrector alone walks at each level in turn, from states that are near already."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.corrector is None:
            raise ValueError("got no corrector; expected a kernel, which is all that Annealed moves by")

    def step(self, energy: Energy, x: Tensor, a: Tensor, b: Tensor, noise: Noise | None = None) -> Tensor:
        return x


def _ancestral(energy: Energy, x: Tensor, a: Tensor, b: Tensor, fresh: Tensor) -> Tensor:
    down = b**2 / a
    x = torch.addcmul(x, energy.score(x, a), (a - down) * a)
    return torch.addcmul(x, fresh, (b**2 - down**2).sqrt())


def _checked(seeds: Tensor, count: int) -> Tensor:
    seeds = torch.as_tensor(seeds)
    if seeds.shape != (count,) or seeds.is_floating_point():
        raise ValueError(f"got seeds of shape {tuple(seeds.shape)} and type {seeds.dtype}; expected ({count},) "
                         "integers, one per row")
    return seeds.long()
