r"""What Poisson's and Helmholtz' equations share: :math:`\Delta u + k^2 u = a` in a square, :math:`u = 0` at its walls.

The Laplacian is the 5-point one on cell centres (:mod:`stencils`), of second order; the sine basis diagonalises it, so
that a solution costs two transforms. The map from ``a`` to ``u`` is linear: with a Gaussian source every question about
the pair has its answer in closed form, ``matrix()`` and ``sources().factor()`` are what it takes.

References:
    DiffusionPDE: Generative PDE-Solving Under Partial Observation (Huang et al., 2024),
    https://arxiv.org/abs/2406.17763, for the equations and the law of their sources.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping

import torch
from torch import Tensor

from .fields import GaussianField
from .grids import Cosine, Sine, check
from .stencils import laplacian
from .system import Part, Stored
from .turns import SQUARE, Orientation

__all__ = ["Elliptic"]


class Elliptic(abc.ABC):
    """Parts: source ``a (*B, n, n)``, solution ``u (*B, n, n)``, of natural sizes ``source`` and ``solution``."""

    n: int
    source: float
    solution: float

    @property
    @abc.abstractmethod
    def shift(self) -> float:
        """:math:`k^2`."""

    @abc.abstractmethod
    def read(self, stored: Stored) -> Mapping[str, Elliptic]:
        """The system with the parameters of a file; see :class:`System`."""

    @property
    def parts(self) -> dict[str, Part]:
        """Source ``a`` and solution ``u``."""
        return {"a": Part.cells(self.n), "u": Part.cells(self.n)}

    @property
    def symmetries(self) -> tuple[Orientation, ...]:
        """Those of the square."""
        return SQUARE

    def draw(self, count: int, seed: int = 0, first: int = 0) -> dict[str, Tensor]:
        """Sources ``{"a": (count, n, n)}`` in float64, of :meth:`sources`."""
        return {"a": self.sources().sample(count, seed, first)}

    def sources(self) -> GaussianField:
        """The published law of ``a``: :math:`N(0, 9 (-\\Delta + 9)^{-2})`, no flux through the walls."""
        return GaussianField(Cosine(self.n), alpha=2, tau=3, gain=9)

    def spectrum(self) -> Tensor:
        """Eigenvalues ``(n, n)`` of the operator in the sine basis, in float64."""
        return self.shift - Sine(self.n).differences()

    def apply(self, u: Tensor) -> Tensor:
        """The source ``(*B, n, n)`` that ``u`` is the solution for."""
        check("u", u, self.n, self.n)
        return laplacian(u) + self.shift * u

    def solve(self, a: Tensor) -> Tensor:
        """The solution ``(*B, n, n)``, to rounding; linear in ``a`` and differentiable."""
        check("a", a, self.n, self.n)
        basis = Sine(self.n)
        with a.device:
            spectrum = self.spectrum().to(a)
        return basis.collect(basis.expand(a) / spectrum)

    def matrix(self) -> Tensor:
        """:meth:`solve` as a matrix ``(n^2, n^2)`` on flattened fields, in float64; symmetric."""
        return self.solve(torch.eye(self.n**2, dtype=torch.float64).unflatten(-1, (self.n, self.n))).flatten(-2)

    def residual(self, a: Tensor, u: Tensor) -> Tensor:
        """``(*B, n^2)``: what the discrete equation lacks, over ``source``; a row's norm is the rms over the square.

        Zero for a solution to rounding and about 1 for ``u = 0``, on every grid.
        """
        return (self.apply(u) - a).flatten(-2) / (self.n * self.source)

    def gap(self, a: Tensor, u: Tensor) -> Tensor:
        """``(*B, n^2)``: how far ``u`` is from the solution for ``a``, over ``solution``; rms as in :meth:`residual`.

        It vanishes where :meth:`residual` does, but weighs all wavelengths alike: better conditioned, by a factor that
        grows with ``n^2``.
        """
        return (u - self.solve(a)).flatten(-2) / (self.n * self.solution)
