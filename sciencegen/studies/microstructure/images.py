r"""Images of two phases as they are cut from fields, and the slope that a cut has for whoever moves the field.

An image is 1 where a field exceeds a threshold. That has no derivative; what moves is the interface. So the slope that
is taken is a hump of width ``w`` about the threshold, in units of the field's spread,

.. math:: \frac{d \, \text{phase}}{d f} \approx \frac{s (1 - s)}{w}, \qquad s = \frac{1}{1 + e^{-(f - t) / w}} ,

which gives the share of pixels that change; which pixels, is left to the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

__all__ = ["Limits", "cut", "opened", "pieces", "sharing"]

ROUNDS = 3  # of opening both phases, each of which may undo a little of the other
SPARED = 0.005  # share of pixels that may be finer than asked for: corners on a grid


class _Cut(torch.autograd.Function):
    """``field > 0`` as numbers; backward the hump."""

    @staticmethod
    def forward(ctx: object, field: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        return (field > 0).to(field)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.saved_tensors[0], None


class _Instead(torch.autograd.Function):
    """Another image in the place of one; backward as if it were the same."""

    @staticmethod
    def forward(ctx: object, phase: Tensor, other: Tensor) -> Tensor:
        return other.to(phase)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def cut(field: Tensor, width: float) -> Tensor:
    """The image ``(*B, ny, nx)`` of 0 and 1 where ``field`` exceeds zero, with slopes of ``width`` spreads."""
    return _Cut.apply(field, _hump(field.detach(), width))


def sharing(field: Tensor, count: Tensor, width: float = 0.12) -> Tensor:
    """``field (*B, ny, nx)`` less the level that ``count (*B,)`` of its pixels exceed, which goes with the field."""
    falling = field.detach().flatten(-2).sort(-1, descending=True).values
    last = count.long().clamp(1, falling.shape[-1] - 1)[..., None]
    level = (falling.gather(-1, last - 1) + falling.gather(-1, last))[..., None] / 2
    hump = _hump(field.detach() - level, width)
    moved = (hump * (field - field.detach())).sum((-2, -1), keepdim=True) / hump.sum((-2, -1), keepdim=True)
    return field - level - moved


def _hump(field: Tensor, width: float) -> Tensor:
    spread = width * field.std((-2, -1), keepdim=True).clamp_min(1e-6)
    share = torch.sigmoid(field / spread)
    return share * (1 - share) / spread


@dataclass(frozen=True)
class Limits:
    """What every image keeps to.

    Arguments:
        connected: phase 1 is in one piece, round the sides too; what hangs apart is dropped.
        feature: diameter in pixels of the least disc that fits everywhere into both phases; 1 for any.

    Raises:
        ValueError: a feature of less than a pixel.
    """

    connected: bool = False
    feature: int = 1

    def __post_init__(self) -> None:
        if self.feature < 1:
            raise ValueError(f"got --feature {self.feature}; expected a diameter of at least 1 pixel")

    def kept(self, phase: Tensor) -> Tensor:
        """The image without what is too fine or hangs apart; its slopes are those of the image."""
        clean = phase.detach()
        for _ in range(ROUNDS if self.feature > 1 else 0):
            clean = 1 - opened(1 - opened(clean, self.feature), self.feature)
        clean = _largest(clean) if self.connected else clean
        return _Instead.apply(phase, clean) if self.connected or self.feature > 1 else phase

    def broken(self, phase: Tensor) -> np.ndarray:
        """``(B,)`` texts: what an image does not keep to, empty where it does."""
        words = np.full(len(phase), "", object)
        if self.feature > 1:
            fine = [(part - opened(part, self.feature)).mean((-2, -1)) for part in (phase, 1 - phase)]
            words[(torch.maximum(*fine) > SPARED).numpy()] = f"finer than {self.feature} pixels"
        if self.connected:
            apart = [pieces(image)[1] != 1 for image in phase.numpy()]
            words[np.array(apart)] = "phase 1 is not in one piece"
        return words


def opened(phase: Tensor, diameter: int) -> Tensor:
    """What discs of a diameter that fit into phase 1 cover of it, ``(*B, ny, nx)``; periodic."""
    size = phase.shape[-2:]
    reach = torch.arange(diameter, dtype=torch.float64) - (diameter - 1) / 2
    disc = torch.zeros(size, dtype=phase.dtype)
    disc[:diameter, :diameter] = (reach[:, None].square() + reach.square() <= (diameter / 2) ** 2).to(phase)
    kernel = torch.fft.rfft2(disc)
    fits = torch.fft.irfft2(torch.fft.rfft2(phase) * kernel.conj(), s=size) > disc.sum() - 0.5
    return (torch.fft.irfft2(torch.fft.rfft2(fits.to(phase)) * kernel, s=size) > 0.5).to(phase)


def pieces(image: np.ndarray) -> tuple[np.ndarray, int]:
    """Numbers ``(ny, nx)``, from 1, of the pieces of phase 1 (0 elsewhere), and how many there are; round the sides."""
    labels, count = ndimage.label(image > 0.5)
    name = np.arange(count + 1)
    for _ in range(count):  # a piece takes the least number that it meets across a side
        before = name.copy()
        for here, there in ((labels[0], labels[-1]), (labels[:, 0], labels[:, -1])):
            both = (here > 0) & (there > 0)
            least = np.minimum(name[here[both]], name[there[both]])
            np.minimum.at(name, here[both], least)
            np.minimum.at(name, there[both], least)
        if (name == before).all():
            break
    numbers = np.unique(name[labels], return_inverse=True)
    found = numbers[1].reshape(labels.shape)
    return found if (labels == 0).any() else found + 1, len(numbers[0]) - int((labels == 0).any())


def _largest(phase: Tensor) -> Tensor:
    """The largest piece of phase 1 alone."""
    kept = []
    for image in phase.reshape(-1, *phase.shape[-2:]).numpy():
        numbers, count = pieces(image)
        sizes = np.bincount(numbers.ravel(), minlength=count + 1)
        kept.append(numbers == 1 + sizes[1:].argmax() if count else image > 0.5)
    return torch.from_numpy(np.stack(kept)).to(phase).reshape(phase.shape)
