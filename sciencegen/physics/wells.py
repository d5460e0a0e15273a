r"""Darcy's law between closed walls: an inflow and an outflow in opposite corners, and a pressure of zero mean.

Discretised and solved as :mod:`darcy`, but that nothing leaves through the walls. The published permeability is the
exponential of a Gaussian field with an exponential covariance, cut short after its leading modes: :class:`Wells` has it
as it is, :class:`LogWells` its logarithm, which is Gaussian and which every real number is admissible for.

References:
    Physics-Informed Diffusion Models (Bastek, Sun & Kochmann, 2025), https://arxiv.org/abs/2403.14404.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from torch import Tensor

from .banded import pressure
from .fields import exponential, white
from .grids import centres, check
from .stencils import divergence, flux
from .system import Part, Stored

__all__ = ["LogWells", "Wells"]

LEAST = 1e-3  # permeability; drawn ones are seldom below 0.02


@dataclass(frozen=True)
class Wells:
    """Parts: permeability ``a (*B, n, n)``, pressure ``u (*B, n, n)`` of zero mean.

    Arguments:
        n: cells along a side.
        rate: source per unit area in the well at (0, 0); minus that at (1, 1).
        side: of the square wells.
        pressure: the natural size of ``u``.
        length: the logarithm of the permeability has the covariance ``exp(-distance / length)``.
    """

    n: int
    rate: float = 10.0
    side: float = 0.125
    pressure: float = 0.07
    length: float = 0.1

    @property
    def modes(self) -> int:
        """How many modes of that covariance a permeability has."""
        return min(64, self.n**2 // 2)

    @property
    def parts(self) -> dict[str, Part]:
        """Permeability ``a``, above zero, and pressure ``u``."""
        return {"a": Part.cells(self.n, low=LEAST), "u": Part.cells(self.n)}

    @property
    def symmetries(self) -> tuple[()]:
        """None that is made use of: the wells single out a diagonal."""
        return ()

    def draw(self, count: int, seed: int = 0, first: int = 0) -> dict[str, Tensor]:
        """Permeabilities ``{"a": (count, n, n)}`` in float64, the exponential of :meth:`logarithms`."""
        return {"a": self.logarithms(count, seed, first).exp()}

    def logarithms(self, count: int, seed: int = 0, first: int = 0) -> Tensor:
        """Gaussian fields ``(count, n, n)`` with that covariance, of at most 64 modes."""
        factor = _factor(self.n, self.length, self.modes)
        return (white(factor.shape[1], count, seed, first, dims=1) @ factor.mT).unflatten(-1, (self.n, self.n))

    def read(self, stored: Stored) -> Mapping[str, Wells]:
        """With the file's ``rate``."""
        rate = stored("rate")
        return {f"rate = {rate:.4g}": replace(self, rate=rate)}

    def source(self, like: Tensor) -> Tensor:
        """``(n, n)``, of zero sum."""
        inside = centres(self.n, like) < self.side
        well = (inside[:, None] & inside).to(like)
        return self.rate * (well - well.flip(0, 1))

    def apply(self, a: Tensor, u: Tensor) -> Tensor:
        """The source ``(*B, n, n)`` that ``u`` is the pressure for, if its mean is zero."""
        check("a", a, self.n, self.n)
        check("u", u, self.n, self.n)
        return divergence(*flux(a, u, walls=0.0))

    def solve(self, a: Tensor) -> Tensor:
        """The pressure ``(*B, n, n)`` of zero mean for ``a > 0``; differentiable, on the CPU and in float64 inside."""
        check("a", a, self.n, self.n)
        return pressure(a, self.source(a).expand_as(a), 0.0)

    def residual(self, a: Tensor, u: Tensor) -> Tensor:
        """``(*B, n^2)``: the source that is missing and the mean pressure, over their natural sizes.

        The norm of a row is the rms over the square: zero for a solution and 1 for ``u = 0``, on every grid.
        """
        source = self.source(u)
        size = source.square().mean().sqrt()
        mean = u.mean((-2, -1), keepdim=True) / self.pressure
        return ((self.apply(a, u) - source) / size + mean).flatten(-2) / self.n


@dataclass(frozen=True)
class LogWells:
    """:class:`Wells` whose part ``a`` is the natural logarithm of the permeability.

    Arguments:
        n: cells along a side.
        rate, side, pressure, length: as of :class:`Wells`.
    """

    n: int
    rate: float = 10.0
    side: float = 0.125
    pressure: float = 0.07
    length: float = 0.1

    @property
    def wells(self) -> Wells:
        """The same system, with the permeability as it is."""
        return Wells(self.n, self.rate, self.side, self.pressure, self.length)

    @property
    def parts(self) -> dict[str, Part]:
        """Logarithm of the permeability ``a`` and pressure ``u``."""
        return {"a": Part.cells(self.n), "u": Part.cells(self.n)}

    @property
    def symmetries(self) -> tuple[()]:
        """None that is made use of."""
        return ()

    def draw(self, count: int, seed: int = 0, first: int = 0) -> dict[str, Tensor]:
        """Gaussian fields ``{"a": (count, n, n)}`` in float64."""
        return {"a": self.wells.logarithms(count, seed, first)}

    def solve(self, a: Tensor) -> Tensor:
        """The pressure ``(*B, n, n)``."""
        return self.wells.solve(a.exp())

    def residual(self, a: Tensor, u: Tensor) -> Tensor:
        """``(*B, n^2)``, as of :class:`Wells`."""
        return self.wells.residual(a.exp(), u)

    def read(self, stored: Stored) -> Mapping[str, Wells]:
        """Files store the permeability: a :class:`Wells`."""
        return self.wells.read(stored)


@lru_cache(2)
def _factor(n: int, length: float, modes: int) -> Tensor:
    return exponential(n, length, modes)
