r"""A U-Net for images whose law is told by numbers: it corrects the Wiener filter of that law.

Of a stationary field with mean :math:`m` and spectrum :math:`S(k)`, seen in white noise of standard deviation
:math:`\sigma`, the best linear estimate is, mode by mode,

.. math:: \hat x = m + \frac{S}{S + \sigma^2} (x - m) , \qquad
          S(k) \propto v \, \ell^2 (1 + \ell^2 |k|_{M^{-1}}^2)^{-3/2} ,

with the spectrum of an exponential correlation of length :math:`\ell`, :math:`\exp(-|d|_M / \ell)`, that is stretched
by a metric :math:`M` of determinant one. Where length, stretch and fraction are given, a network that starts from it
has the right mean, anisotropy and scale at every noise level before any training, and learns what images have beyond
their two-point function, instead of learning to be told. "Extrapolation, Interpolation, and Smoothing of Stationary
Time Series" (Wiener, 1949).

The filter takes what is outside the patch, or not there, for the mean: an estimate, which the network mends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .fields import FieldUNet

__all__ = ["WienerUNet"]


class WienerUNet(nn.Module):
    """An image of two phases and numbers in, both out, ``(u, c, keep) -> (N, n)``; a Wiener filter when untrained.

    The numbers are, in physical units, the logarithm of the length in pixels, the stretch ``log(aspect) (cos 2 angle,
    sin 2 angle)``, the fraction of phase 1, and any more; phases are -1 and 1 in the state. Of a state whose Gaussian
    is ``N(0, 1)``; the filter counts where all numbers are given.

    Arguments:
        side: pixels of the image.
        loc, scale: of the numbers, four or more.
        channels, blocks, patch, features: of the U-Net (:class:`FieldUNet`).
        margin: pixels of nothing around the image, so that its sides do not meet.
    """

    def __init__(self, side: int, loc: Sequence[float], scale: Sequence[float], channels: Sequence[int] = (32, 64, 96),
                 blocks: Sequence[int] = (1, 1, 1), patch: int = 2, features: int = 64, margin: int = 16) -> None:
        super().__init__()
        if len(loc) != len(scale) or len(loc) < 4:
            raise ValueError(f"got {len(loc)} offsets and {len(scale)} units; expected as many, four or more: length, "
                             "stretch (two numbers), fraction")
        self.side, self.margin = side, margin
        self.register_buffer("loc", torch.tensor(loc), persistent=False)
        self.register_buffer("scale", torch.tensor(scale), persistent=False)
        self.net = FieldUNet([[2, side, side], [len(loc)]], [[-1, 0, 1], [-1]], [side, side], [False, False], channels,
                             blocks, patch, features)

    def forward(self, u: Tensor, c: Tensor, keep: Tensor) -> Tensor:
        """``u, keep (N, n)``, ``c (N, 1)`` to ``(N, n)``."""
        pixels = self.side**2
        (image, numbers), (there, known) = u.tensor_split([pixels], 1), keep.tensor_split([pixels], 1)
        given = (known < 0).all(1, keepdim=True).to(u)
        linear = self._filtered(image * there, torch.exp(4 * c.to(u)), self.loc + self.scale * numbers) * there * given
        out = self.net(torch.cat([image, linear, numbers], 1), c, torch.cat([there, there, known], 1))
        return torch.cat([linear + out[:, :pixels], out[:, 2 * pixels:]], 1)

    def _filtered(self, image: Tensor, sigma: Tensor, numbers: Tensor) -> Tensor:
        """What the filter adds to the Gaussian's mean, in the network's units: ``(N, pixels)``."""
        size, root = self.side + self.margin, (1 + sigma**2).sqrt()
        mean = 2 * numbers[:, 3:4].clamp(0.01, 0.99) - 1
        off = (image * root - mean).reshape(-1, self.side, self.side)
        spectrum = self._spectrum(numbers, 1 - mean[:, :, None] ** 2)
        waves = torch.fft.rfft2(functional.pad(off, (0, self.margin, 0, self.margin)))
        found = torch.fft.irfft2(waves * spectrum / (spectrum + sigma[:, :, None] ** 2), s=(size, size))
        found = mean + found[:, : self.side, : self.side].flatten(1)
        return (found - image / root) * root / sigma

    def _spectrum(self, numbers: Tensor, variance: Tensor) -> Tensor:
        """``S (N, ky, kx)``, whose mean over the modes is the variance ``(N, 1, 1)``."""
        size = self.side + self.margin
        k = 2 * math.pi * torch.fft.fftfreq(size, dtype=numbers.dtype, device=numbers.device)
        ky, kx = torch.meshgrid(k, k[: size // 2 + 1].abs(), indexing="ij")
        length, first, second = numbers[:, :3].clamp(-6, 6)[..., None, None].unbind(1)
        size_of = (first**2 + second**2).sqrt().clamp_min(1e-6)
        squares = torch.cosh(size_of) * (kx**2 + ky**2) + torch.sinh(size_of) / size_of * (
            first * (kx**2 - ky**2) + 2 * second * kx * ky)
        spectrum = (1 + torch.exp(2 * length) * squares) ** -1.5
        total = 2 * spectrum.sum((1, 2)) - spectrum[:, :, 0].sum(1) - spectrum[:, :, -1].sum(1)
        return variance * spectrum * size**2 / total[:, None, None]
