r"""Fields that are drawn from elsewhere: what a component is solved for where no coupled solution is known.

A physics that is trained on its own needs values of the other fields. They are drawn from a Gaussian law with a stated
range and correlation length; the closer that law lies about the coupled fields, the less a network has to extrapolate.

.. math:: z = \sqrt{s}\, \xi_0 + \sqrt{1 - s}\, (L_1 \otimes L_2 \otimes \ldots)\, \xi

with standard normal :math:`\xi`, :math:`L_i L_i^T` a squared exponential kernel along axis i, and s the share of the
variance that is the same everywhere; the range is the mean and two standard deviations to either side.

References:
    M2PDE: Compositional Generative Multiphysics and Multi-component PDE Simulation (Zhang et al., 2025),
    https://arxiv.org/abs/2412.04134, for data sets of one physics whose other fields are Gaussian.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..fields import generator
from ..system import Part

__all__ = ["Elsewhere"]


@dataclass(frozen=True)
class Elsewhere:
    """The Gaussian law of a field that is not solved for, of its logarithm where that must be positive.

    Arguments:
        low, high: mean less and plus two standard deviations, in the field's units.
        lengths: correlation length along each axis, in the units of its coordinates; at 0 points are independent.
        shared: share of the variance that is the same at all points.
        positive: the logarithm is Gaussian, with the range's logarithms.

    Raises:
        ValueError: a range that is none, or not positive where it must be.
    """

    low: float
    high: float
    lengths: tuple[float, ...]
    shared: float = 0.5
    positive: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.positive and self.low <= 0):
            raise ValueError(f"got the range {self.low} to {self.high}; expected rising numbers"
                             f"{', above zero' if self.positive else ''}")

    @property
    def middle(self) -> float:
        """The middle of the range; the geometric one where the field is positive."""
        return float(np.sqrt(self.low * self.high)) if self.positive else (self.low + self.high) / 2

    def sample(self, part: Part, count: int, seed: int = 0, first: int = 0, stream: int = 0) -> Tensor:
        """Samples ``first, first + 1, ...`` of a seed, ``(count, *part.shape)`` in float64.

        Raises:
            ValueError: as many lengths as axes are expected.
        """
        if len(self.lengths) != len(part.shape):
            raise ValueError(f"got {len(self.lengths)} correlation lengths for the axes {part.dims}; expected one each")
        size = int(np.prod(part.shape)) + 1
        drawn = [generator(seed, first + i, stream).standard_normal(size) for i in range(count)]
        noise = torch.from_numpy(np.stack(drawn)) if drawn else torch.empty(0, size, dtype=torch.float64)
        same, field = noise[:, 0], noise[:, 1:].reshape(-1, *part.shape)
        for axis, (dim, length) in enumerate(zip(part.dims, self.lengths)):
            if length:
                field = torch.movedim(torch.movedim(field, axis + 1, -1) @ _root(part, dim, length), -1, axis + 1)
        wide = same.reshape(-1, *[1] * len(part.shape))
        return self._scaled(self.shared**0.5 * wide + (1 - self.shared) ** 0.5 * field)

    def _scaled(self, z: Tensor) -> Tensor:
        low, high = (np.log([self.low, self.high]) if self.positive else (self.low, self.high))
        values = low + (high - low) * (0.5 + z / 4)
        return values.exp() if self.positive else values


def _root(part: Part, dim: str, length: float) -> Tensor:
    """The symmetric root ``(n, n)`` of the squared exponential kernel along an axis; round it where its ends meet."""
    at = torch.as_tensor(list(part.coords[dim]), dtype=torch.float64)
    apart = (at[:, None] - at).abs()
    if dim in part.periodic:
        around = float(at[1] - at[0]) * len(at)
        apart = around / torch.pi * (torch.pi * apart / around).sin()
    values, vectors = torch.linalg.eigh(torch.exp(-(apart**2) / (2 * length**2)))
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.mT
