r"""Noise grids and samplers: from ``N(0, sigma_0^2)`` down to the clean state.

All walk the probability flow ``dx / d sigma = -sigma score(x, sigma)``, or its stochastic twin with the same marginals.
A sampler is data: a grid of noise levels and, optionally, a kernel that corrects the samples at each level.
"""

from __future__ import annotations

import abc
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .energy import Energy, Evaluation
from .exact import Gaussian
from .mcmc import Kernel
from .random import Streams

__all__ = ["Ancestral", "Annealed", "Euler", "Heun", "Info", "Multistep", "Refine", "Sampler", "karras"]


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


class Info(NamedTuple):
    """A record of one step of a path.

    Arguments:
        level: the noise level at which ``evaluation`` was made: of the state that is yielded with it where a corrector
            walked there, else of the state from which the step was made.
        evaluation: of the energy; None where nothing was evaluated.
        acceptance: of the corrector, ``(*B,)``; None without one.
    """

    level: float
    evaluation: Evaluation | None
    acceptance: Tensor | None


@dataclass(frozen=True)
class Sampler(abc.ABC):
    """Steps an energy down ``sigmas (n + 1,)``; after each step the ``corrector``, if any, walks at the new level.

    One protocol for all: ``state = init(x)``, then ``x, state, evaluation = step(energy, x, a, b, state, noise)`` from
    level to level. Levels are numbers of the host; a run's device and dtype are those of its states.
    """

    sigmas: Tensor
    corrector: Kernel | None = None

    def __post_init__(self) -> None:
        s = self.sigmas
        if s.ndim != 1 or len(s) < 2 or not s.is_floating_point() or not bool((s.diff() < 0).all() and s[-1] >= 0):
            raise ValueError(f"got sigmas {s.tolist()}; expected two or more falling noise levels, floats and none "
                             "below zero")
        object.__setattr__(self, "sigmas", s.detach().cpu())

    @property
    def levels(self) -> list[float]:
        """The noise levels as numbers."""
        return self.sigmas.tolist()

    def start(self, count: int, size: int, seeds: Tensor | None = None, device: torch.device | str = "cpu") -> Tensor:
        """Start ``(count, size)``: ``sigmas[0]``-scaled, one stream of random numbers per row (``seeds (count,)``)."""
        noise = Streams.fresh(count) if seeds is None else Streams(_checked(seeds, count).cpu())
        return self.begin(noise.at(-1).normal(size, self.sigmas.dtype)).to(device)

    def init(self, x: Tensor) -> Any:
        """What the first step starts from beside ``x (*B, d)``."""
        return None

    @abc.abstractmethod
    def step(self, energy: Energy, x: Tensor, a: float, b: float, state: Any, noise: Streams,
             before: Evaluation | None = None) -> tuple[Tensor, Any, Evaluation | None]:
        """From level ``a`` down to ``b``: ``(*B, d)``, the next state, and the evaluation of ``x`` at ``a``.

        What is random comes from ``noise``; ``before`` is that evaluation where it is known already.
        """

    def path(self, energy: Energy, x: Tensor, seeds: Tensor | None = None) -> Iterator[tuple[float, Tensor, Info]]:
        """Yield ``(sigma, x, info)`` after each step and its correction; no graph is kept from step to step."""
        noise = Streams.fresh(*x.shape[:-1]) if seeds is None else Streams(_checked(seeds, len(x)))
        noise, state, before = noise.to(x.device), self.init(x), None
        if self.corrector is not None:
            self.corrector.check(energy, min((b for b in self.levels[1:] if b > 0), default=math.inf))
        for index, (a, b) in enumerate(itertools.pairwise(self.levels)):
            with torch.no_grad():
                x, state, at = self.step(energy, x, a, b, state, noise.at(index), before)
                info, before = Info(a, at, None), None
                if self.corrector is not None and b > 0:
                    x, walk = self.corrector(energy, x, b, noise.at(index, stream=1))
                    info, before = Info(b, walk.evaluation, walk.acceptance), walk.evaluation
            yield b, x, info

    def begin(self, white: Tensor) -> Tensor:
        """What a path starts from, of standard normal numbers ``(count, size)``."""
        return self.levels[0] * white

    def draw(self, energy: Energy, size: int, noise: Streams, like: Tensor, around: Gaussian | None = None) -> Tensor:
        """Clean states ``(M, size)``, a row for each stream of ``noise``, on the device and in the dtype of ``like``.

        The path starts from the noised law of a Gaussian ``around`` them, that inside of the energy unless given, and
        ends by a draw around Tweedie's mean, of the Gaussian's covariance there: exact if the energy is the Gaussian.
        """
        around, (first, *_, last) = around or energy.gaussian(), self.levels
        with torch.no_grad():
            x = self.begin(noise.at(-1).normal(size, like.dtype).to(like))
            x = x if around is None else around.center + around.coloured(x / first, sigma=first)
            x = self(energy, x, noise.seeds)
            x = energy.mean(x, last) if last else x
            if last and around is not None:
                variances = around.variances
                open_ = (variances / (variances + last**2)).sqrt() * last  # what the last level leaves open
                white = noise.at(len(self.levels)).normal(size, like.dtype).to(like)
                x = x + around.back(open_ * around.modes(white))
            return energy.refreshed(x, noise, self)

    def __call__(self, energy: Energy, x: Tensor, seeds: Tensor | None = None) -> Tensor:
        """The end of the path, ``(*B, d)`` at level ``sigmas[-1]``."""
        for _, end, _ in self.path(energy, x, seeds):
            x = end
        return x


@dataclass(frozen=True)
class Euler(Sampler):
    """First order along the probability flow: one score a step."""

    def step(self, energy: Energy, x: Tensor, a: float, b: float, state: Any, noise: Streams,
             before: Evaluation | None = None) -> tuple[Tensor, Any, Evaluation]:
        at = before or energy.evaluate(x, a)
        return torch.add(x, at.score, alpha=(a - b) * a), state, at


@dataclass(frozen=True)
class Heun(Sampler):
    """Second order along the probability flow: two scores a step (one on the step to zero)."""

    def step(self, energy: Energy, x: Tensor, a: float, b: float, state: Any, noise: Streams,
             before: Evaluation | None = None) -> tuple[Tensor, Any, Evaluation]:
        at = before or energy.evaluate(x, a)
        y = torch.add(x, at.score, alpha=(a - b) * a)
        if b > 0:
            y = x + (a - b) / 2 * (a * at.score + b * energy.score(y, b))
        return y, state, at


@dataclass(frozen=True)
class Ancestral(Sampler):
    """The stochastic twin: down to ``b^2 / a`` along the flow, then noise back up to ``b``; one score a step."""

    def init(self, x: Tensor) -> list[Tensor]:
        return []

    def step(self, energy: Energy, x: Tensor, a: float, b: float, state: Sequence[Tensor], noise: Streams,
             before: Evaluation | None = None) -> tuple[Tensor, Sequence[Tensor], Evaluation]:
        fresh, *drawn = state or noise.ahead(x.shape[-1], x.dtype)
        at, down = before or energy.evaluate(x, a), b**2 / a
        x = torch.add(x, at.score, alpha=(a - down) * a)
        return torch.add(x, fresh, alpha=(b**2 - down**2) ** 0.5), drawn, at


@dataclass(frozen=True)
class Multistep(Sampler):
    """DPM-Solver++ (2M): second order with one score a step, by remembering the last Tweedie mean.

    "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models" (Lu et al., 2022),
    https://arxiv.org/abs/2211.01095. The first step, and one after a corrector moved the state, is of first order.
    """

    def step(self, energy: Energy, x: Tensor, a: float, b: float, state: Any, noise: Streams,
             before: Evaluation | None = None) -> tuple[Tensor, Any, Evaluation]:
        at = before or energy.evaluate(x, a)
        mean = ahead = torch.add(x, at.score, alpha=a**2)
        last, higher, end = state or (None, None, None)
        if x is end and b > 0:  # else a corrector moved it: the last mean is of elsewhere
            ahead = torch.lerp(mean, last, math.log(b / a) / math.log(higher / a) / 2)
        end = torch.lerp(ahead, x.to(mean), b / a)
        return end, (mean, a, end), at


@dataclass(frozen=True)
class Refine(Sampler):
    r"""Tweedie's mean, then noise of a lower level and the mean again: one score a level, as PDE-Refiner.

    From ``x = 0`` at the first level: one level alone is the deterministic surrogate. "PDE-Refiner: Achieving Accurate
    Long Rollouts with Neural PDE Solvers" (Lippe et al., 2023), https://arxiv.org/abs/2308.05732. A direction of
    variance ``v`` is drawn with too little of it, ``V <- (v / (v + s^2))^2 (V + s^2)`` from level to level ``s``: for
    laws that are nearly deterministic. ``sigmas`` are the levels, above zero; the path ends at zero.
    """

    def __post_init__(self) -> None:
        levels = self.sigmas.reshape(-1)
        zero = levels.new_zeros(0 if len(levels) and not levels[-1] else 1)
        object.__setattr__(self, "sigmas", torch.cat([levels, zero]))
        super().__post_init__()

    @classmethod
    def at(cls, *levels: float) -> Refine:
        """The sampler of these levels as numbers."""
        return cls(torch.tensor(levels))

    def begin(self, white: Tensor) -> Tensor:
        return torch.zeros_like(white)

    def draw(self, energy: Energy, size: int, noise: Streams, like: Tensor, around: Gaussian | None = None) -> Tensor:
        return self(energy, like.new_zeros(*noise.seeds.shape, size), noise.seeds)

    def step(self, energy: Energy, x: Tensor, a: float, b: float, state: Any, noise: Streams,
             before: Evaluation | None = None) -> tuple[Tensor, Any, Evaluation]:
        at = before or energy.evaluate(x, a)
        mean = torch.add(x, at.score, alpha=a**2)
        return (torch.add(mean, noise.normal(x.shape[-1], x.dtype), alpha=b) if b > 0 else mean), state, at


@dataclass(frozen=True)
class Annealed(Sampler):
    """No step of its own: the corrector alone walks at each level in turn, from states that are near already."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.corrector is None:
            raise ValueError("got no corrector; expected a kernel, which is all that Annealed moves by")

    def step(self, energy: Energy, x: Tensor, a: float, b: float, state: Any, noise: Streams,
             before: Evaluation | None = None) -> tuple[Tensor, Any, Evaluation | None]:
        return x, state, before


def _checked(seeds: Tensor, count: int) -> Tensor:
    seeds = torch.as_tensor(seeds)
    if seeds.shape != (count,) or seeds.is_floating_point():
        raise ValueError(f"got seeds of shape {tuple(seeds.shape)} and type {seeds.dtype}; expected ({count},) "
                         "integers, one per row")
    return seeds.long()
