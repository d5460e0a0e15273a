r"""Lorenz' systems: convection in three numbers (1963), and a ring of numbers that pass waves on (1996).

.. math:: \dot x = \sigma (y - x), \quad \dot y = x (\rho - z) - y, \quad \dot z = x y - \beta z; \qquad
          \dot x_i = (x_{i+1} - x_{i-2}) x_{i-1} - x_i + F.

The classical Runge-Kutta scheme of fourth order; after each frame of length :math:`T` every number may be kicked by
:math:`g \sqrt T N(0, 1)`. The systems on which filters and smoothers are compared.

References:
    Deterministic Nonperiodic Flow (Lorenz, 1963), https://doi.org/10.1175/1520-0469(1963)020<0130:DNF>2.0.CO;2;
    Predictability: A Problem Partly Solved (Lorenz, 1996), https://doi.org/10.1017/CBO9780511617652.004; Score-based
    Data Assimilation (Rozet & Louppe, 2023), https://arxiv.org/abs/2306.10574, for the kicks of the first system.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .fields import white
from .frames import defects, kicked, march
from .grids import check
from .system import Part, Stored

__all__ = ["Lorenz63", "Lorenz96"]

WARM = 400  # frames before a start: 10 and 20 units of time


class Ordinary(ABC):
    """A system of n ordinary differential equations on its attractor, in frames, with kicks after each frame.

    Children say :meth:`rate` and the start, and have as fields ``n``; ``frame``, the time between frames; ``frames``,
    how many; ``steps`` in a frame; ``noise``, the strength g of the kicks per root of time, which only :meth:`kicked`
    uses; ``size``, the natural size of a state.
    """

    n: int
    frame: float
    frames: int
    steps: int
    noise: float
    size: float

    @property
    def symmetries(self) -> tuple[()]:
        """None that is made use of."""
        return ()

    @abstractmethod
    def rate(self, u: Tensor) -> Tensor:
        """``du/dt (*B, n)``."""

    def advance(self, u: Tensor) -> Tensor:
        """The state one frame after ``u (*B, n)``, without kicks."""
        check("u", u, self.n)
        return _runge_kutta(self.rate, u, self.frame, self.steps)

    def solve(self, a: Tensor) -> Tensor:
        """The frames ``(*B, frames, n)`` after ``a``, without kicks."""
        return march(self.advance, a, self.frames, dims=1)

    def kicked(self, a: Tensor, noise: Tensor) -> Tensor:
        """The frames after ``a`` with the kicks that standard normal numbers ``(*B, frames, n)`` make."""
        return kicked(self.advance, a, self.noise * math.sqrt(self.frame) * noise, dims=1)

    def residual(self, a: Tensor, u: Tensor) -> Tensor:
        """``(*B, frames n)``: what each frame differs by from the map of the one before it, over ``size``; an rms."""
        return defects(self.advance, a, u, 1, self.size)

    def _later(self, u: Tensor) -> Tensor:
        for _ in range(WARM):
            u = self.advance(u)
        return u

    def _parts(self, dim: str, periodic: tuple[str, ...] = ()) -> dict[str, Part]:
        places = {dim: [float(i) for i in range(self.n)]}
        times = {"time": [self.frame * (i + 1) for i in range(self.frames)]}
        return {"a": Part((self.n,), (dim,), places, periodic=periodic),
                "u": Part((self.frames, self.n), ("time", dim), times | places, periodic=periodic)}


@dataclass(frozen=True)
class Lorenz63(Ordinary):
    """Parts: start ``a (*B, 3)``, later states ``u (*B, frames, 3)``: x, y, z.

    It has three numbers and no grid, so :func:`sciencegen.physics.resolve` does not know it.

    Arguments:
        sigma, rho, beta: Prandtl number, relative Rayleigh number, and the cells' shape.
        frame: time between frames.
        frames: how many.
        steps: steps in a frame.
        noise: strength g of the kicks, per root of time; only :meth:`kicked` uses it.
        size: the natural size of a state.
    """

    sigma: float = 10.0
    rho: float = 28.0
    beta: float = 8 / 3
    frame: float = 0.025
    frames: int = 8
    steps: int = 1
    noise: float = 1.0
    size: float = 15.0
    n: int = field(default=3, init=False)

    @property
    def parts(self) -> dict[str, Part]:
        """Start ``a`` and later states ``u``."""
        return self._parts("variable")

    def draw(self, count: int, seed: int = 0, first: int = 0) -> dict[str, Tensor]:
        """States on the attractor, ``{"a": (count, 3)}`` in float64, of the system without kicks."""
        return {"a": self._later(white(3, count, seed, first, 1) + 5.0)}

    def read(self, stored: Stored) -> Mapping[str, Lorenz63]:
        """With the file's frames."""
        return {f"rho = {self.rho:.4g}": replace(self, frame=stored.frame, frames=stored.frames)}

    def rate(self, u: Tensor) -> Tensor:
        """``du/dt (*B, 3)``."""
        x, y, z = u.unbind(-1)
        return torch.stack([self.sigma * (y - x), x * (self.rho - z) - y, x * y - self.beta * z], -1)


@dataclass(frozen=True)
class Lorenz96(Ordinary):
    """Parts: start ``a (*B, n)``, later states ``u (*B, frames, n)``, on a ring.

    Arguments:
        n: numbers, at least four.
        force: F; chaotic from about 5 on.
        frame: time between frames; 0.05 is called six hours.
        frames: how many.
        steps: steps in a frame.
        noise: strength g of the kicks, per root of time; only :meth:`kicked` uses it.
        size: the natural size of a state.
    """

    n: int = 40
    force: float = 8.0
    frame: float = 0.05
    frames: int = 8
    steps: int = 1
    noise: float = 0.0
    size: float = 4.3

    @property
    def parts(self) -> dict[str, Part]:
        """Start ``a`` and later states ``u``; x counts the numbers."""
        return self._parts("x", ("x",))

    def draw(self, count: int, seed: int = 0, first: int = 0) -> dict[str, Tensor]:
        """States on the attractor, ``{"a": (count, n)}`` in float64, of the system without kicks."""
        return {"a": self._later(self.force + white(self.n, count, seed, first, 1))}

    def read(self, stored: Stored) -> Mapping[str, Lorenz96]:
        """With the file's frames, and its ``force`` where it stores one."""
        force = stored.parameters.get("force", self.force)
        return {f"force = {force:.4g}": replace(self, force=force, frame=stored.frame, frames=stored.frames)}

    def rate(self, u: Tensor) -> Tensor:
        """``du/dt (*B, n)``."""
        return (u.roll(-1, -1) - u.roll(2, -1)) * u.roll(1, -1) - u + self.force


def _runge_kutta(rate: Callable[[Tensor], Tensor], u: Tensor, time: float, steps: int) -> Tensor:
    """The state ``time`` after ``u``, by the classical scheme of fourth order."""
    step = time / steps
    for _ in range(steps):
        a = rate(u)
        b = rate(u + step / 2 * a)
        c = rate(u + step / 2 * b)
        u = u + step / 6 * (a + 2 * b + 2 * c + rate(u + step * c))
    return u
