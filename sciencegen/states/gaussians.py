r"""Gaussians of the training rows: what a network is to be a correction to.

Which one is best depends on the data, and held-out rows tell: :func:`candidates` are all that can be estimated.

- :func:`unit`: mean 0, variance 1. The layout's units make it so for each part as a whole.
- :func:`by_part`: the mean of each coordinate, one variance for each part.
- :func:`low_rank`: the leading axes of the covariance of all parts together.
- :func:`low_rank_by_part`: the leading axes of each part, with the covariance between them, and for each part a
  variance beyond them. Of a rough field that variance is not small, and not to be mixed up with a smooth one's.
- :func:`spectral`: the covariance by wave number along periodic axes. Where the law of the data is invariant under
  shifts, Fourier modes of different wave numbers are uncorrelated, so that a row of ``K`` grid points says ``K`` times
  what it says of a general covariance: with few rows the estimate is far better. Its leading modes, as real waves, are
  axes of low rank, and the Gaussian is of the same form as the others.

Estimates are of at most as many rows as fit :data:`BUDGET`, taken evenly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..exact import Gaussian
from .rows import Rows
from .states import States
from .waves import Waves

__all__ = ["by_part", "candidates", "low_rank", "low_rank_by_part", "spectral", "unit"]

BUDGET = 512 * 2**20  # bytes of rows that an estimate looks at
MOST = 20_000  # rows
RANK = 256
FLOOR = 1e-6  # of a variance, in units of the layout


def unit(states: States) -> Gaussian:
    """Mean zero and variance one in every coordinate."""
    return Gaussian(torch.zeros(states.layout.size), torch.ones(states.layout.size))


def by_part(states: States) -> Gaussian:
    """The mean of each coordinate, and one variance about it for each part."""
    total, squares, count = 0.0, 0.0, 0
    for chunk in _chunks(states.train):
        total, squares, count = total + chunk.sum(0), squares + chunk.square().sum(0), count + len(chunk)
    variance = (squares - total**2 / count) / max(count - 1, 1)
    parts = [part.mean().expand_as(part) for part in variance.split(_sizes(states))]
    return Gaussian((total / count).float(), (torch.cat(parts).clamp_min(0) + FLOOR).float())


def low_rank(states: States, rank: int = RANK) -> Gaussian:
    """The ``rank`` leading axes of the covariance, or as many as the rows allow, and one variance beyond them."""
    rows = torch.cat([chunk.float() for chunk in _chunks(states.train)])
    return Gaussian.fit(rows, min(rank, len(rows) - 2, rows.shape[1] - 1), FLOOR)


def low_rank_by_part(states: States, rank: int = RANK) -> Gaussian:
    """Up to ``rank`` leading axes of each part, with the covariance between them, and for each part one variance."""
    rows = torch.cat([chunk.float() for chunk in _chunks(states.train)])
    parts = [_axes(part, min(rank, len(rows) - 2)) for part in rows.split(_sizes(states), -1)]
    axes = torch.block_diag(*(axes for axes, _ in parts))
    if axes.shape[0] == axes.shape[1]:
        return Gaussian.fit(rows, None, FLOOR)
    mean = rows.mean(0, dtype=torch.float64).float()
    along = ((rows - mean) @ axes).double()
    variances, turn = torch.linalg.eigh(along.mT @ along / (len(rows) - 1))
    beyond = torch.cat([rest.expand(len(axes)) for axes, rest in parts])
    return Gaussian(mean, torch.cat([variances.float().clamp_min(0), beyond]) + FLOOR, axes @ turn.float())


def spectral(states: States, axes: Sequence[str], rank: int = RANK) -> Gaussian:
    """The covariance by wave number along periodic ``axes``, of low rank: its ``rank`` leading real modes.

    What has none of the axes (numbers of a sample, forcings) goes with wave number zero, with which alone it can
    correlate. ValueError if a part has some of the axes but not all, or they are of unequal size in two parts.
    """
    waves = Waves.of(states.layout, axes)
    total, products, count = 0.0, 0.0, 0
    for chunk in _chunks(states.train):
        spectrum = waves.spectrum(chunk)
        total, count = total + chunk.sum(0), count + len(chunk)
        products = products + torch.einsum("bkc,bkd->kcd", spectrum, spectrum.conj())
    mean = waves.level(total / count)
    center = waves.spectrum(mean[None])[0]
    cov = (products - count * torch.einsum("kc,kd->kcd", center, center.conj())) / max(count - 1, 1)
    variances, modes, rest = waves.leading(cov, rank)
    return Gaussian(mean.float(), (torch.cat([variances, rest[None]]) + FLOOR).float(), modes.float())


def candidates(states: States, rank: int = RANK) -> dict[str, Gaussian]:
    """Every Gaussian that can be estimated from these states, by its name; ``by wave number`` if axes are periodic."""
    found = {"unit": unit(states), "by part": by_part(states)}
    if min(len(states.train), states.layout.size) > 2:
        found["low rank"] = low_rank(states, rank)
        if len(states.parts) > 1:
            found["low rank by part"] = low_rank_by_part(states, rank)
    if states.periodic:
        found["by wave number"] = spectral(states, states.periodic, rank)
    return found


def _chunks(rows: Rows) -> Iterator[Tensor]:
    """Rows that an estimate looks at, evenly over all versions of all windows, in float64."""
    count = min(len(rows), MOST, max(BUDGET // (4 * rows.layout.size), 64))
    for index in torch.linspace(0, len(rows) - 1, count, dtype=torch.float64).round().long().split(64):
        yield rows.some(index.tolist()).double()


def _sizes(states: States) -> list[int]:
    return [variable.size for variable in states.layout.variables.values()]


def _axes(part: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Leading axes ``(n, k)`` of ``part (N, n)`` and the mean variance beyond them; all axes if there are so few."""
    size = part.shape[1]
    if rank >= size - 1:
        return torch.eye(size), torch.zeros(())
    found = Gaussian.fit(part, rank)
    return found.axes, found.variances[-1]
