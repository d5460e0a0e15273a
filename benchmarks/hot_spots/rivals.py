"""The rivals' steps: a Fourier neural operator and a U-Net that say the next frame, of any size.

"Fourier Neural Operator for Parametric Partial Differential Equations" (Li et al., 2020),
https://arxiv.org/abs/2010.08895; azula's U-Net with periodic padding. Both add to the frame before, which is what their
papers' roll-outs do as well; both are zero when untrained, and are marched as ours is.
"""

from __future__ import annotations

import torch
from azula.nn.unet import UNet
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["FourierStep", "UNetStep"]


class FourierStep(nn.Module):
    """A frame later by Fourier layers: the lowest waves mixed by matrices of their own, beside a pointwise map."""

    def __init__(self, fields: int, still: int, numbers: int, width: int = 12, modes: int = 8, layers: int = 3) -> None:
        super().__init__()
        self.modes = modes
        self.enter, self.leave = nn.Conv2d(fields + still + numbers, width, 1), nn.Conv2d(width, fields, 1)
        size = (2, width, width, modes, modes, 2)  # waves of either sign along the rows; real and imaginary parts
        self.waves = nn.ParameterList(torch.randn(size) / width for _ in range(layers))
        self.points = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(layers))
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, now: Tensor, still: Tensor, numbers: Tensor) -> Tensor:
        """``now (N, fields, rows, columns)`` a frame later."""
        h = self.enter(told(now, still, numbers))
        for wave, point in zip(self.waves, self.points, strict=True):
            h = functional.gelu(self.mixed(h, wave) + point(h))
        return now + self.leave(h)

    def mixed(self, h: Tensor, wave: Tensor) -> Tensor:
        """The lowest waves times their matrices, the others left out."""
        m, spectrum = self.modes, torch.fft.rfft2(h, norm="forward")
        out = torch.zeros_like(spectrum)
        for rows, matrix in zip((slice(m), slice(-m, None)), torch.view_as_complex(wave), strict=True):
            out[..., rows, :m] = torch.einsum("nixy,ioxy->noxy", spectrum[..., rows, :m], matrix)
        return torch.fft.irfft2(out, h.shape[-2:], norm="forward")


class UNetStep(nn.Module):
    """A frame later by azula's U-Net."""

    def __init__(self, fields: int, still: int, numbers: int, channels: tuple[int, ...] = (16, 24, 32)) -> None:
        super().__init__()
        self.body = UNet(fields + still + numbers, fields, hid_channels=channels, hid_blocks=(1,) * len(channels),
                         mod_features=1, norm="group", groups=8, periodic=True)
        nn.init.zeros_(self.body.ascent[-1][-1].weight)
        nn.init.zeros_(self.body.ascent[-1][-1].bias)

    def forward(self, now: Tensor, still: Tensor, numbers: Tensor) -> Tensor:
        """``now (N, fields, rows, columns)`` a frame later."""
        return now + self.body(told(now, still, numbers), now.new_zeros(len(now), 1))


def told(now: Tensor, still: Tensor, numbers: Tensor) -> Tensor:
    """Fields, what stays and numbers as channels."""
    return torch.cat([now, still, numbers[..., None, None].expand(-1, -1, *now.shape[2:])], 1)
