r"""Darcy's law: :math:`-\nabla \cdot (a \nabla u) = f`, the pressure ``u`` of flow through rock of permeability ``a``.

Finite volumes on cell centres (:mod:`stencils`): the flux through a face is the pressure drop times the harmonic mean
of the two permeabilities, which is exact for layers; no fluid is lost. Second order where ``a`` is smooth. The solver
is :mod:`banded`.

:class:`Darcy` is the system of the neural operators: ``f = 1``, ``u = 0`` at the walls, rock of two materials;
:class:`Channels` is the same in meandering channels.

References:
    Fourier Neural Operator for Parametric Partial Differential Equations (Li et al., 2021),
    https://arxiv.org/abs/2010.08895.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .banded import pressure
from .fields import HIGH, LOW, GaussianField, binary, channels
from .grids import Cosine, Sine, check
from .stencils import divergence, flux
from .system import Part, Stored
from .turns import SQUARE, Orientation

__all__ = ["Channels", "Darcy", "Rock"]

LEAST = 0.1  # of the natural permeability; with less the matrix has a condition that means nothing


@dataclass(frozen=True)
class Rock(abc.ABC):
    """Parts: permeability ``a (*B, n, n)``, pressure ``u (*B, n, n)``; zero pressure at the walls.

    Arguments:
        n: cells along a side.
        f: source per unit area, a number or ``(n, n)``.
        permeability, pressure: the natural size of ``a`` and ``u``; of the published set by default.
    """

    n: int
    f: float | Tensor = 1.0
    permeability: float = 6.0
    pressure: float = 0.007

    @property
    def parts(self) -> dict[str, Part]:
        """Permeability ``a``, at least a tenth of its natural size, and pressure ``u``."""
        return {"a": Part.cells(self.n, low=LEAST * self.permeability), "u": Part.cells(self.n)}

    @abc.abstractmethod
    def draw(self, count: int, seed: int = 0, first: int = 0) -> dict[str, Tensor]:
        """Permeabilities ``{"a": (count, n, n)}`` in float64; see :class:`System`."""

    def read(self, stored: Stored) -> Mapping[str, Rock]:
        """With the file's ``f``, which PDEBench calls ``beta``."""
        f = stored("f", "beta")
        return {f"f = {f:.4g}": replace(self, f=f)}

    def source(self, like: Tensor) -> Tensor:
        """``f (n, n)``."""
        return torch.as_tensor(self.f).to(like).expand(self.n, self.n)

    def apply(self, a: Tensor, u: Tensor) -> Tensor:
        """The source ``(*B, n, n)`` that ``u`` is the pressure for."""
        check("a", a, self.n, self.n)
        check("u", u, self.n, self.n)
        return divergence(*flux(a, u, walls=2.0))

    def solve(self, a: Tensor) -> Tensor:
        """The pressure ``(*B, n, n)`` for ``a > 0``, to rounding; differentiable, on the CPU and in float64 inside."""
        check("a", a, self.n, self.n)
        return pressure(a, self.source(a).expand_as(a), 2.0)

    def residual(self, a: Tensor, u: Tensor) -> Tensor:
        """``(*B, n^2)``: the source that is missing, over the rms of ``f``; a row's norm is the rms over the square.

        Zero for a solution to rounding and 1 for ``u = 0``, on every grid.
        """
        source = self.source(u)
        return (self.apply(a, u) - source).flatten(-2) / (self.n * source.square().mean().sqrt())

    def gap(self, a: Tensor, u: Tensor) -> Tensor:
        """``(*B, n^2)``: about how far ``u`` is from the pressure for ``a``, over ``pressure``; rms as there.

        The missing source as a pressure in rock of even permeability. It vanishes where :meth:`residual` does, and
        weighs all wavelengths alike up to the contrast of ``a``: a preconditioned residual.
        """
        basis = Sine(self.n)
        with u.device:
            scale = basis.differences().to(u)
        scale = scale * (self.permeability * self.pressure * self.n)
        return basis.collect(basis.expand(self.apply(a, u) - self.source(u)) / scale).flatten(-2)


@dataclass(frozen=True)
class Darcy(Rock):
    """Darcy's law in rock of two materials, permeability 3 and 12; see :class:`Rock`."""

    @property
    def symmetries(self) -> tuple[Orientation, ...]:
        """Those of the square."""
        return SQUARE

    @property
    def materials(self) -> tuple[float, float]:
        """Permeabilities of the two: the second where a hidden Gaussian field is not negative."""
        return LOW, HIGH

    def fields(self) -> GaussianField:
        """The published law that ``fields.binary`` makes the permeability of: :math:`N(0, 9 (-\\Delta + 9)^{-2})`."""
        return GaussianField(Cosine(self.n), alpha=2, tau=3, gain=9)

    def draw(self, count: int, seed: int = 0, first: int = 0) -> dict[str, Tensor]:
        """Permeabilities ``{"a": (count, n, n)}`` in float64: where a field of :meth:`fields` is above zero, or not."""
        return {"a": binary(self.fields().sample(count, seed, first))}


@dataclass(frozen=True)
class Channels(Rock):
    """Darcy's law in rock with meandering channels (:func:`fields.channels`); see :class:`Rock`."""

    @property
    def symmetries(self) -> tuple[()]:
        """None: the channels lead along x."""
        return ()

    def draw(self, count: int, seed: int = 0, first: int = 0) -> dict[str, Tensor]:
        """Permeabilities ``{"a": (count, n, n)}`` in float64."""
        return {"a": channels(self.n, count, seed, first)}
