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

It sees the image in the frame of the law as well: its derivatives up to the second along and across the stretch, each
of the image blurred at three multiples of the length, so that one function of them serves images of all lengths and
angles. Filters take what is outside the patch, or not there, for the mean: an estimate, which the network mends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .fields import FieldUNet

__all__ = ["WienerUNet"]

SCALES = (0.35, 0.7, 1.4)  # of the filters, in lengths
TOLD = 2  # channels of what they tell the U-Net


class WienerUNet(nn.Module):
    """An image of two phases and numbers in, both out, ``(u, c, keep) -> (N, n)``; a Wiener filter when untrained.

    The numbers are, in physical units, the logarithm of the length in pixels, the stretch ``log(aspect) (cos 2 angle,
    sin 2 angle)``, the fraction of phase 1, and any more; phases are -1 and 1 in the state. Of a state whose Gaussian
    is ``N(0, 1)``; filters count where all numbers are given.

    Arguments:
        side: pixels of the image.
        loc, scale: of the numbers, four or more.
        channels, blocks, patch, features: of the U-Net (:class:`FieldUNet`).
        width: features of a pixel, made of what the filters tell of it.
        margin: pixels of nothing around the image, so that its sides do not meet.
    """

    def __init__(self, side: int, loc: Sequence[float], scale: Sequence[float], channels: Sequence[int] = (32, 64, 96),
                 blocks: Sequence[int] = (1, 1, 1), patch: int = 2, features: int = 64, width: int = 32,
                 margin: int = 8) -> None:
        super().__init__()
        if len(loc) != len(scale) or len(loc) < 4:
            raise ValueError(f"got {len(loc)} offsets and {len(scale)} units; expected as many, four or more: length, "
                             "stretch (two numbers), fraction")
        self.side, self.margin = side, margin
        self.register_buffer("loc", torch.tensor(loc), persistent=False)
        self.register_buffer("scale", torch.tensor(scale), persistent=False)
        self.net = FieldUNet([[2 + TOLD, side, side], [len(loc)]], [[-1, 0, 1], [-1]], [side, side], [False, False],
                             channels, blocks, patch, features)
        self.modulate = nn.Linear(features, 4 * width)
        self.first, self.second = nn.Conv2d(2 + 6 * len(SCALES), width, 1), nn.Conv2d(width, width, 1)
        self.last = nn.Conv2d(width, 1 + TOLD, 1)
        nn.init.zeros_(self.last.weight[:1])
        nn.init.zeros_(self.last.bias[:1])

    def forward(self, u: Tensor, c: Tensor, keep: Tensor) -> Tensor:
        """``u, keep (N, n)``, ``c (N, 1)`` to ``(N, n)``."""
        pixels = self.side**2
        (image, numbers), (there, known) = u.tensor_split([pixels], 1), keep.tensor_split([pixels], 1)
        given = (known < 0).all(1, keepdim=True).to(u)
        shape = lambda v: v.reshape(len(u), -1, self.side, self.side)
        mask, image = shape(there), shape(image * there)
        seen = self._filtered(image[:, 0], torch.exp(4 * c.to(u)), self.loc + self.scale * numbers)
        linear, bank = (v * mask * given[:, :, None, None] for v in seen)
        level = self.net.numbers.tell(c, numbers, known)
        a, b, e, f = self.modulate(level)[:, :, None, None].chunk(4, 1)
        h = functional.gelu((1 + a) * self.first(torch.cat([image, linear, bank], 1)) + b)
        own, told = self.last(functional.gelu((1 + e) * self.second(h) + f)).tensor_split([1], 1)
        fields = torch.cat([image, linear, told.to(image) * mask], 1).flatten(1)
        out = self.net(torch.cat([fields, numbers], 1), c, torch.cat([there.repeat(1, 2 + TOLD), known], 1))
        return torch.cat([(linear + own * mask).flatten(1) + out[:, :pixels], out[:, (2 + TOLD) * pixels:]], 1)

    def _filtered(self, image: Tensor, sigma: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """What the filter adds to the Gaussian's mean, in the network's units, and the bank, of unit variance.

        ``(N, 1, side, side)`` and ``(N, 6 scales, side, side)``.
        """
        size, sigma = self.side + self.margin, sigma[:, :, None, None]
        root, mean = (1 + sigma**2).sqrt(), 2 * numbers[:, 3, None, None, None].clamp(0.01, 0.99) - 1
        image = image[:, None]
        ahead, across = self._waves(numbers)
        length = numbers[:, 0, None, None, None].clamp(-6, 6).exp()
        squares = (ahead**2 + across**2) * length**2
        weight = torch.ones(size // 2 + 1).to(image)
        weight[1 : -1 if size % 2 == 0 else None] = 2  # of modes that stand for two
        average = lambda v: (v * weight).sum((-2, -1), keepdim=True) / size**2
        spectrum = (1 + squares) ** -1.5
        spectrum = spectrum * (1 - mean**2) / average(spectrum)
        noisy = spectrum + sigma**2
        waves = torch.fft.rfft2(functional.pad(image * root - mean, (0, self.margin, 0, self.margin)))
        back = lambda v: torch.fft.irfft2(v, s=(size, size))[..., : self.side, : self.side]
        linear = (mean + back(waves * spectrum / noisy) - image / root) * root / sigma
        found = []
        for scale in SCALES:
            x, y, blur = scale * length * ahead, scale * length * across, torch.exp(-(scale**2) * squares / 2)
            odd, even = torch.cat([x, y], 1) * blur, torch.cat([torch.ones_like(x), x * x, x * y, y * y], 1) * blur
            unit = [v / average(v**2 * noisy).clamp_min(1e-12).sqrt() for v in (odd, even)]
            found += [back(1j * waves * unit[0]), back(waves * unit[1])]
        return linear, torch.cat(found, 1)

    def _waves(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Wave numbers along and across the stretch, in its frame, ``(N, 1, ky, kx)`` each."""
        size = self.side + self.margin
        k = 2 * math.pi * torch.fft.fftfreq(size, dtype=numbers.dtype, device=numbers.device)
        ky, kx = torch.meshgrid(k, k[: size // 2 + 1].abs(), indexing="ij")
        first, second = numbers[:, 1:3].clamp(-6, 6)[..., None, None].unbind(1)
        angle, root = torch.atan2(second, first) / 2, torch.exp(torch.hypot(first, second) / 2)
        ahead, across = kx * angle.cos() + ky * angle.sin(), ky * angle.cos() - kx * angle.sin()
        return (ahead * root)[:, None], (across / root)[:, None]
