"""Projections of a clean state onto hard constraints: plain functions ``x (*B, d) -> x (*B, d)``.

For :class:`sciencegen.guide.Projected`. Each is idempotent, leaves a state that meets it alone and moves no other row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .view import View

__all__ = ["Affine", "Box", "Pin", "Solenoidal"]


@dataclass(frozen=True)
class Pin:
    """The coordinates of ``view`` set to ``value (n,)`` or ``(*B, *copies, n)``, in unit-scale numbers."""

    view: View
    value: Tensor = field(repr=False)

    def __call__(self, x: Tensor) -> Tensor:
        """``(*B, d) -> (*B, d)``."""
        rows = self.view.rows.to(x.device)
        value = self.value.to(x).expand(*x.shape[:-1], *rows.shape)
        return x.index_copy(-1, rows.reshape(-1), value.reshape(*x.shape[:-1], rows.numel()))


@dataclass(frozen=True)
class Box:
    """Every coordinate clamped to ``[low, high]``: numbers or ``(d,)``, infinite where there is no bound."""

    low: float | Tensor
    high: float | Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """``(*B, d) -> (*B, d)``."""
        low, high = (torch.as_tensor(v, dtype=x.dtype, device=x.device) for v in (self.low, self.high))
        return torch.minimum(torch.maximum(x, low), high)


@dataclass(frozen=True)
class Affine:
    """The nearest point with ``A x = b``: ``A (m, d)`` of full row rank, ``b (m,)``."""

    A: Tensor = field(repr=False)
    b: Tensor = field(repr=False)

    def __call__(self, x: Tensor) -> Tensor:
        """``(*B, d) -> (*B, d)``."""
        A, b = self.A.to(x), self.b.to(x)
        return x - (x @ A.mT - b) @ torch.linalg.pinv(A).mT


@dataclass(frozen=True)
class Solenoidal:
    """The nearest periodic velocity field without divergence (Helmholtz projection by Fourier transform).

    Arguments:
        view: of one velocity variable with event ``(..., 2, nx, ny)``, both components of one scale.
        spacing: grid spacing along x and y, in one unit.
    """

    view: View
    spacing: Sequence[float] = (1.0, 1.0)

    def __call__(self, x: Tensor) -> Tensor:
        """``(*B, d) -> (*B, d)``."""
        field = self.view(x).reshape(*x.shape[:-1], *self.view.index.shape)
        if field.shape[-3] != 2:
            raise ValueError(f"got a field of shape {tuple(self.view.event)}; expected (..., 2, nx, ny)")
        wave = torch.stack(self._wavenumbers(field))
        hat = torch.fft.fft2(field)
        along = (wave * hat).sum(-3, keepdim=True) / (wave**2).sum(0).clamp_min(torch.finfo(x.dtype).tiny)
        free = torch.fft.ifft2(hat - wave * along).real
        return Pin(self.view, free.reshape(self.view(x).shape))(x)

    def _wavenumbers(self, field: Tensor) -> tuple[Tensor, ...]:
        axes = [torch.fft.fftfreq(n, d, dtype=field.dtype, device=field.device)
                for n, d in zip(field.shape[-2:], self.spacing)]
        # The Nyquist mode of a real field has no sign, hence no derivative: it is left alone.
        axes = [torch.where(torch.arange(len(k), device=k.device) * 2 == len(k), 0, k) for k in axes]
        return torch.meshgrid(*axes, indexing="ij")
