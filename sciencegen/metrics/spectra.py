r"""Spectra of periodic fields: how much of their mean square each wave number has.

The power :math:`S_k` sums what the Fourier modes of wave number :math:`k` (in more than one axis: of rounded length
:math:`|k|`) have of the mean square, so that :math:`\sum_k S_k = \overline{u^2}` (Parseval). The *members'* spectrum
tells blur and grain, which scores of single values forgive.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .weights import members, shares

__all__ = ["Bands", "spectrum", "spectrum_ratio"]


def spectrum(field: Tensor, axes: int = 1) -> Tensor:
    """Power by wave number ``0, 1 ... K``, ``(*B, *space) -> (*B, K + 1)``, of fields periodic in their last axes.

    In one axis ``K`` is half the points, in more it is the rounded length of the longest wave vector.
    """
    over = tuple(range(-axes, 0))
    power = torch.fft.fftn(field, dim=over, norm="forward").abs().square().flatten(-axes)
    waves = [torch.fft.fftfreq(n, 1 / n, device=field.device) for n in field.shape[-axes:]]
    length = sum(wave.square() for wave in torch.meshgrid(*waves, indexing="ij")).sqrt().round().long().flatten()
    highest = int(sum((n // 2) ** 2 for n in field.shape[-axes:]) ** 0.5 + 0.5)
    return power.new_zeros(*power.shape[:-1], highest + 1).index_add(-1, length, power)


class Bands(NamedTuple):
    """Members' power over the truth's in bands of wave numbers.

    Arguments:
        edges: ``(bins + 1,)``, whole numbers; a band is from one edge up to, without, the next.
        ratio: ``(bins,)``, one where the members are as rough as the truth.
    """

    edges: Tensor
    ratio: Tensor


def spectrum_ratio(samples: Tensor, truth: Tensor, axes: int = 1, bins: int = 4, top: int | None = None,
                   weights: Tensor | None = None) -> Bands:
    """The members' mean spectrum over the truth's, in at most ``bins`` bands even in the logarithm of the wave number.

    Arguments:
        samples: ``(S, *B, *space)``, periodic; powers are averaged over members and ``B`` before they are divided.
        truth: ``(*B, *space)``.
        top: the highest wave number; half the points of the shortest axis by default.
        weights: of the members; see :func:`sciencegen.metrics.crps`.
    """
    members(samples, truth, axes)
    top = min(truth.shape[-axes:]) // 2 if top is None else top
    power = (shares(weights, samples.flatten(-axes)[..., 0])[..., None] * spectrum(samples, axes)).sum(0)
    mine, wanted = (p.reshape(-1, p.shape[-1]).mean(0) for p in (power, spectrum(truth, axes)))
    edges = torch.logspace(0, torch.tensor(float(top + 1)).log10().item(), bins + 1).round().long().unique()
    ratio = [mine[low:high].sum() / wanted[low:high].sum() for low, high in zip(edges.tolist(), edges[1:].tolist())]
    return Bands(edges.to(truth.device), torch.stack(ratio))
