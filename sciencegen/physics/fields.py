r"""Random fields: Gaussian ones with their covariance in closed form, and two-valued ones made of them.

A Gaussian field is white noise, coloured mode by mode: :math:`\sum_k \sqrt{v_k} \xi_k \phi_k` with :math:`\phi_k` of
:mod:`grids` and :math:`v_k = g (\omega_k^2 + \tau^2)^{-\alpha}`, the law :math:`N(0, g (-\Delta + \tau^2)^{-\alpha})`
that the sets of neural operators are drawn from; the mean of the field is left out, as it is there.

Sample ``i`` of a seed is the same whatever the count, batch or order in which samples are drawn, and the same field on
every grid: noise is dealt to the modes in squares of growing frequency, so that a finer grid only adds modes.

References:
    Fourier Neural Operator for Parametric Partial Differential Equations (Li et al., 2021),
    https://arxiv.org/abs/2010.08895; DiffusionPDE: Generative PDE-Solving Under Partial Observation (Huang et al.,
    2024), https://arxiv.org/abs/2406.17763, for the fields and their parameters; Physics-Informed Diffusion Models
    (Bastek, Sun & Kochmann, 2025), https://arxiv.org/abs/2403.14404, for the exponential covariance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

from .grids import Basis, centres

__all__ = ["GaussianField", "binary", "channels", "exponential", "generator", "white"]

LOW, HIGH = 3.0, 12.0


def generator(seed: int, index: int, stream: int = 0) -> np.random.Generator:
    """One of the random streams of sample ``index`` of a set with this seed."""
    return np.random.default_rng((seed, index, stream))


def white(n: int, count: int, seed: int = 0, first: int = 0, dims: int = 2, stream: int = 0,
          frames: int | None = None) -> Tensor:
    """Standard normal numbers ``(count[, frames], n[, n])`` in float64 for samples ``first, first + 1, ...`` of a seed.

    Frame ``j`` of a sample is the same however many there are.
    """
    size = n**dims * (1 if frames is None else frames)
    drawn = [generator(seed, first + i, stream).standard_normal(size) for i in range(count)]
    noise = torch.from_numpy(np.stack(drawn)) if drawn else torch.empty(0, size, dtype=torch.float64)
    noise = noise if frames is None else noise.unflatten(-1, (frames, -1))
    return noise if dims == 1 else noise[..., _places(n)]


def _places(n: int) -> Tensor:
    """Which number of a stream each mode ``(n, n)`` takes: those of a coarser grid first, in an order of their own."""
    i, j = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
    shell = torch.maximum(i, j)
    return shell**2 + torch.where(i == shell, j, 2 * shell - i)


@dataclass(frozen=True)
class GaussianField:
    """The law :math:`N(0, gain (-\\Delta + \\tau^2)^{-\\alpha})` of fields of zero mean on the unit square or interval.

    Arguments:
        basis: which boundary condition the Laplacian has, and the grid: :class:`grids.Sine`, ``Cosine``, ``Fourier``.
        alpha: how smooth.
        tau: inverse correlation length.
        gain: factor of the covariance; ``tau^(2 alpha - 2)`` in the published sets on the square.
        dims: 1 or 2.
    """

    basis: Basis
    alpha: float
    tau: float
    gain: float
    dims: int = 2

    def variances(self) -> Tensor:
        """Variance of the coefficient of each mode, ``(n[, n])`` in float64: the covariance in closed form."""
        squares = self.basis.laplacian(self.dims)
        return torch.where(squares.sqrt() < 1e-9, 0.0, self.gain * (squares + self.tau**2) ** -self.alpha)

    def rms(self) -> float:
        """Root of the variance of a value, averaged over the grid."""
        return math.sqrt(float(self.variances().sum()))

    def factor(self) -> Tensor:
        """``F (n^dims, n^dims)`` in float64 with covariance ``F F^T`` of the flattened field."""
        functions = self.basis.functions()
        functions = functions if self.dims == 1 else torch.kron(functions, functions)
        return functions.mT * self.variances().sqrt().flatten()

    def colour(self, noise: Tensor) -> Tensor:
        """The field ``(*B, n[, n])`` that white noise of that shape gives; linear in it."""
        return self.basis.collect(self.variances().sqrt().to(noise) * noise, self.dims)

    def sample(self, count: int, seed: int = 0, first: int = 0) -> Tensor:
        """Samples ``first, first + 1, ...`` of a seed, ``(count, n[, n])`` in float64."""
        return self.colour(white(self.basis.n, count, seed, first, self.dims))


def exponential(n: int, length: float = 0.1, modes: int = 64) -> Tensor:
    """Factor ``F (n^2, modes)`` in float64 of the law with covariance ``exp(-distance / length)``, cut short.

    ``F @ xi`` with ``xi (modes,)`` standard normal is a flattened field: its Karhunen-Loeve expansion, the modes of
    most variance first, each of the sign that makes its largest value positive. Modes of equal variance (those that a
    reflection of the square swaps) are defined up to a rotation among them.
    """
    if not 0 < modes < n * n:
        raise ValueError(f"got {modes} modes on a grid of {n} x {n} cells; expected 1 to {n * n - 1}")
    apart = torch.arange(2 * n, dtype=torch.float64)
    apart = torch.minimum(apart, 2 * n - apart) / n
    kernel = torch.fft.rfft2(torch.exp(-torch.hypot(apart[:, None], apart) / length))

    def multiply(x: np.ndarray) -> np.ndarray:
        padded = torch.fft.rfft2(torch.from_numpy(x).reshape(n, n), s=(2 * n, 2 * n))
        return torch.fft.irfft2(kernel * padded, s=(2 * n, 2 * n))[:n, :n].flatten().numpy()

    operator = LinearOperator((n * n, n * n), matvec=multiply, dtype=np.float64)
    values, vectors = eigsh(operator, k=modes, v0=generator(0, 0).standard_normal(n * n))
    factor = torch.from_numpy(vectors * np.sqrt(values)).flip(-1)
    return factor * factor.gather(0, factor.abs().argmax(0, keepdim=True)).sign()


def binary(field: Tensor, low: float = LOW, high: float = HIGH) -> Tensor:
    """Two materials: ``high`` where the field is not negative, ``low`` elsewhere."""
    return torch.where(field >= 0, high, low).to(field)


def channels(n: int, count: int, seed: int = 0, first: int = 0, low: float = LOW, high: float = HIGH) -> Tensor:
    """Permeable meandering channels in a tight rock, ``(count, n, n)`` in float64, as in a fluvial reservoir.

    Two to four channels run across the square in one direction, up to 45 degrees off the x axis; each centre line is a
    sine of its own phase and offset with a second harmonic, amplitude 0.03 to 0.1, wavelength 0.4 to 0.9; a channel is
    0.08 to 0.14 wide. What counts is a cell's centre.
    """
    drawn = [_channels(n, generator(seed, first + i)) for i in range(count)]
    inside = torch.stack(drawn) if drawn else torch.empty(0, n, n, dtype=torch.bool)
    return torch.where(inside, high, low).double()


def _channels(n: int, rng: np.random.Generator) -> Tensor:
    """Which cells ``(n, n)`` lie in a channel."""
    number, angle = rng.integers(2, 5), rng.uniform(-math.pi / 4, math.pi / 4)
    x, y = centres(n)[:, None] - 0.5, centres(n)[None, :] - 0.5
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    inside = torch.zeros(n, n, dtype=torch.bool)
    for channel in range(number):
        offset = (channel + rng.uniform(0.2, 0.8)) / number - 0.5
        amplitude, wavelength, width = rng.uniform(0.03, 0.1), rng.uniform(0.4, 0.9), rng.uniform(0.08, 0.14)
        phase = 2 * math.pi * (along / wavelength + rng.uniform())
        bend = 2 * math.pi * rng.uniform() + 2 * phase
        inside |= (across - offset - amplitude * (phase.sin() + 0.3 * bend.sin())).abs() < width / 2
    return inside
