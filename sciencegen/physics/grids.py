r"""The grid that every system shares, and the three bases that diagonalise the Laplacian on it.

The unit interval has ``n`` cells of width :math:`h = 1/n`; values live at the cell centres :math:`x_i = (i + 1/2) h`,
a field of the unit square is ``(*B, n, n)`` with axes x, y. Bounded and periodic systems share the grid: a wall is half
a cell away from the outermost values. Each basis has ``n`` functions :math:`\phi_k` of unit mean square that are
orthogonal on the grid to rounding, and solve :math:`-\phi_k'' = \omega_k^2 \phi_k` with their boundary condition:
:class:`Sine` (zero at the walls), :class:`Cosine` (no flux through the walls), :class:`Fourier` (periodic). Sampled on
the grid they are eigenvectors of the second difference too, with :math:`(2/h)^2 \sin^2(\omega_k h/2)` in place of
:math:`\omega_k^2`: spectral and second-order solvers use the same transform. It is a product with an ``(n, n)`` matrix,
which is differentiable, runs on every device and is as fast as an FFT at the sizes used here.

References:
    The Discrete Cosine Transform (Strang, 1999), https://doi.org/10.1137/S0036144598336745
"""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Basis", "Cosine", "Fourier", "Sine", "centres", "check"]


def centres(n: int, like: Tensor | None = None) -> Tensor:
    """Cell centres of the unit interval ``(n,)``, in float64 or as ``like``."""
    x = (torch.arange(n, dtype=torch.float64, device=None if like is None else like.device) + 0.5) / n
    return x if like is None else x.to(like)


def check(name: str, value: Tensor, *shape: int) -> None:
    """Raise ``ValueError`` unless ``value`` is ``(*B, *shape)`` in floating point."""
    if value.shape[-len(shape) :] != shape or not value.is_floating_point():
        raise ValueError(
            f"got '{name}' of shape {tuple(value.shape)} and {value.dtype}; expected floating point with last axes "
            f"{shape}: one row of cell-centred values a sample"
        )


@dataclass(frozen=True)
class Basis(abc.ABC):
    """Eigenfunctions of :math:`-d^2/dx^2` on the unit interval, sampled at ``n`` cell centres."""

    n: int

    @abc.abstractmethod
    def frequency(self) -> Tensor:
        """``omega_k (n,)``, radians per unit length, in float64."""

    @abc.abstractmethod
    def functions(self) -> Tensor:
        """``phi_k(x_i)``, ``(n, n)`` with axes k, i, in float64; ``functions @ functions.mT = n * identity``."""

    def expand(self, x: Tensor, dims: int = 2) -> Tensor:
        """Coefficients ``(*B, n[, n])`` of a field of the same shape: ``x = sum_k coefficient_k phi_k``."""
        with x.device:
            matrix = (self.functions() / self.n).to(x)
        return x @ matrix.mT if dims == 1 else matrix @ x @ matrix.mT

    def collect(self, coefficients: Tensor, dims: int = 2) -> Tensor:
        """The field with these coefficients; the inverse of :meth:`expand`."""
        with coefficients.device:
            matrix = self.functions().to(coefficients)
        return coefficients @ matrix if dims == 1 else matrix.mT @ coefficients @ matrix

    def laplacian(self, dims: int = 2) -> Tensor:
        """Eigenvalues of :math:`-\\Delta`, ``(n[, n])``, in float64."""
        return _sum(self.frequency().square(), dims)

    def differences(self, dims: int = 2) -> Tensor:
        """Eigenvalues of minus the 3- or 5-point Laplacian on the grid, ``(n[, n])``, in float64."""
        return _sum((2 * self.n * torch.sin(self.frequency() / (2 * self.n))).square(), dims)


class Sine(Basis):
    """Zero at both walls: :math:`\\sqrt 2 \\sin \\pi k x`, k = 1 ... n."""

    def frequency(self) -> Tensor:
        return math.pi * torch.arange(1, self.n + 1, dtype=torch.float64)

    def functions(self) -> Tensor:
        matrix = math.sqrt(2) * torch.sin(self.frequency()[:, None] * centres(self.n))
        matrix[-1] /= math.sqrt(2)
        return matrix


class Cosine(Basis):
    """No flux through the walls: 1 and :math:`\\sqrt 2 \\cos \\pi k x`, k = 1 ... n - 1."""

    def frequency(self) -> Tensor:
        return math.pi * torch.arange(self.n, dtype=torch.float64)

    def functions(self) -> Tensor:
        matrix = math.sqrt(2) * torch.cos(self.frequency()[:, None] * centres(self.n))
        matrix[0] = 1
        return matrix


class Fourier(Basis):
    """Periodic: 1, then :math:`\\sqrt 2 \\cos 2 \\pi k x` and :math:`\\sqrt 2 \\sin 2 \\pi k x` by turns."""

    def frequency(self) -> Tensor:
        return 2 * math.pi * ((torch.arange(self.n) + 1) // 2).double()

    def functions(self) -> Tensor:
        phase = self.frequency()[:, None] * centres(self.n)
        sine = torch.arange(self.n)[:, None] % 2 == 0
        if self.n % 2 == 0:  # the cosine of the highest frequency is zero at every centre, its sine is +-1
            sine[-1] = True
        matrix = math.sqrt(2) * torch.where(sine, phase.sin(), phase.cos())
        matrix[0] = 1
        if self.n % 2 == 0:
            matrix[-1] /= math.sqrt(2)
        return matrix


def _sum(squares: Tensor, dims: int) -> Tensor:
    return squares if dims == 1 else squares[:, None] + squares
