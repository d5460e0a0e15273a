r"""Gaussians of the training rows: what a network is to be a correction to.

Which one is best depends on the data, and held-out rows tell: :func:`candidates` are all that can be estimated.

- :func:`unit`: mean 0, variance 1. The layout's units make it so for each part as a whole.
- :func:`by_part`: the mean of each coordinate, one variance for each part.
- :func:`low_rank`: the leading axes of the covariance of all parts together.
- :func:`low_rank_by_part`: the leading axes of each part, with the covariance between them, and for each part a
  variance beyond them. Of a rough field that variance is not small, and not to be mixed up with a smooth one's.
- :func:`markov`: for windows of frames, a chain in time (:mod:`sciencegen.states.markov`).
- :func:`local`: for windows of one field on a ring, a chain in time whose dynamics are local and linear
  (:mod:`sciencegen.states.symbols`).
- :func:`spectral`: the covariance by wave number along periodic axes. Where the law of the data is invariant under
  shifts, Fourier modes of different wave numbers are uncorrelated, so that a row of ``K`` grid points says ``K`` times
  what it says of a general covariance: with few rows the estimate is far better. Its leading modes, as real waves, are
  axes of low rank, and the Gaussian is of the same form as the others.

Estimates look at rows of 32 million numbers, evenly over all versions of all windows, and at 512 rows at least.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..exact import Gaussian
from .markov import Frames
from .states import States
from .symbols import smoothed
from .waves import Waves

__all__ = ["by_part", "candidates", "local", "low_rank", "low_rank_by_part", "markov", "spectral", "unit"]

NUMBERS, LEAST, MOST = 2**25, 512, 2**14  # in the rows that an estimate looks at; how many rows at least and at most
CHUNK = 64
AXES, FEWEST = 2**24, 16  # numbers in the axes of a candidate, which a model stores, and how many axes at least
RANK = 256
DENSE = 1024  # numbers of a state of which a chain's covariance is dense
RIDGES = (1e-4, 1e-3, 1e-2, 0.1)  # of a chain's regression, in the mean variance of what is regressed on
FLOOR = 1e-6  # of a variance, in units of the layout


def unit(states: States) -> Gaussian:
    """Mean zero and variance one in every coordinate."""
    return Gaussian(torch.zeros(states.layout.size), torch.ones(states.layout.size))


def by_part(states: States) -> Gaussian:
    """The mean of each coordinate, and one variance about it for each part."""
    return _by_part(_rows(states), _sizes(states))


def low_rank(states: States, rank: int = RANK) -> Gaussian:
    """The ``rank`` leading axes of the covariance, or as many as the rows allow, and one variance beyond them."""
    return _low_rank(_rows(states), rank)


def low_rank_by_part(states: States, rank: int = RANK) -> Gaussian:
    """Up to ``rank`` leading axes of each part, with the covariance between them, and for each part one variance."""
    return _low_rank_by_part(_rows(states), _sizes(states), rank)


def spectral(states: States, axes: Sequence[str], rank: int = RANK) -> Gaussian:
    """The covariance by wave number along periodic ``axes``, of low rank: its ``rank`` leading real modes.

    What has none of the axes (numbers of a sample, forcings) goes with wave number zero, with which alone it can
    correlate. ValueError if a part has some of the axes but not all, or they are of unequal size in two parts.
    """
    return _spectral(_rows(states), Waves.of(states.layout, axes), rank)


def markov(states: States, ridge: float = 0.0, single: bool = False, persistent: bool = False) -> Gaussian:
    """A chain in time (:mod:`sciencegen.states.markov`), by wave number where axes are periodic.

    ``single`` leaves one variance a part beyond the regression; ``persistent`` has the last frame in its place.
    ValueError unless a part moves over two frames or more.
    """
    return _markov(_rows(states), states, ridge, single, persistent=persistent)


def local(states: States) -> Gaussian | None:
    """A chain in time of local linear dynamics; None unless the state is a window of one field on a ring."""
    return _local(_rows(states), states)


def candidates(states: States, rank: int = RANK) -> dict[str, Gaussian]:
    """Every Gaussian that can be estimated from these states, by its name; ``by wave number`` if axes are periodic.

    Of large states they have fewer axes than ``rank``, so that a model stays below 64 MB.
    """
    rows, sizes = _rows(states), _sizes(states)
    rank, each = (min(rank, max(AXES // (rows.shape[1] * parts), FEWEST)) for parts in (1, len(sizes)))
    found = {"unit": unit(states), "by part": _by_part(rows, sizes)}
    if min(rows.shape) > 2:
        whole = _low_rank(rows, rank)
        most = 0 if whole.axes is None else whole.axes.shape[1]
        found |= {f"rank {k}": _cut(whole, k) for k in (rank // 16, rank // 4) if 0 < k < most}
        found["low rank"] = whole
        if len(sizes) > 1:
            found["low rank by part"] = _low_rank_by_part(rows, sizes, each)
    if states.periodic:
        found["by wave number"] = _spectral(rows, Waves.of(states.layout, states.periodic), rank)
    return found | _chains(rows, states, rank)


def _rows(states: States) -> Tensor:
    """Rows that an estimate looks at, evenly over all versions of all windows."""
    count = min(len(states.train), max(NUMBERS // states.layout.size, LEAST), MOST)
    index = torch.linspace(0, len(states.train) - 1, count, dtype=torch.float64).round().long()
    return torch.cat([states.train.some(part.tolist()) for part in index.split(CHUNK)])


def _by_part(rows: Tensor, sizes: Sequence[int]) -> Gaussian:
    mean = rows.mean(0, dtype=torch.float64)
    variance = sum((part - mean).square().sum(0) for part in rows.split(CHUNK)) / max(len(rows) - 1, 1)
    parts = [part.mean().expand_as(part) for part in variance.split(list(sizes))]
    return Gaussian(mean.float(), (torch.cat(parts) + FLOOR).float())


def _low_rank(rows: Tensor, rank: int) -> Gaussian:
    return Gaussian.fit(rows, min(rank, len(rows) - 2, rows.shape[1] - 1), FLOOR)


def _cut(data: Gaussian, rank: int) -> Gaussian:
    """The same with its first axes alone, and the mean variance beyond them: with few rows, later axes are noise."""
    variances = data.variances[: data.axes.shape[1]]
    left = data.center.numel() - len(variances)
    rest = (variances[rank:].sum() + left * data.variances[-1]) / (left + len(variances) - rank)
    return Gaussian(data.center, torch.cat([variances[:rank], rest[None]]), data.axes[:, :rank].contiguous())


def _low_rank_by_part(rows: Tensor, sizes: Sequence[int], rank: int) -> Gaussian:
    parts = [_axes(part, min(rank, len(rows) - 2)) for part in rows.split(list(sizes), -1)]
    axes = torch.block_diag(*(axes for axes, _ in parts))
    if axes.shape[0] == axes.shape[1]:
        return Gaussian.fit(rows, None, FLOOR)
    mean = rows.mean(0, dtype=torch.float64).float()
    along = ((rows - mean) @ axes).double()
    variances, turn = torch.linalg.eigh(along.mT @ along / (len(rows) - 1))
    beyond = torch.cat([rest.expand(len(axes)) for axes, rest in parts])
    return Gaussian(mean, torch.cat([variances.float().clamp_min(0), beyond]) + FLOOR, axes @ turn.float())


def _spectral(rows: Tensor, waves: Waves, rank: int) -> Gaussian:
    mean = waves.level(rows.mean(0, dtype=torch.float64))
    return _of_waves(mean, waves, _products(rows, mean, waves), rank)


def _products(rows: Tensor, mean: Tensor, waves: Waves) -> Tensor:
    """Covariances by wave number ``(K, C + m, C + m)``."""
    products = torch.zeros(())
    for part in rows.split(CHUNK):
        spectrum = waves.spectrum(part - mean)
        products = products + torch.einsum("bkc,bkd->kcd", spectrum, spectrum.conj())
    return products / max(len(rows) - 1, 1)


def _of_waves(mean: Tensor, waves: Waves, cov: Tensor, rank: int) -> Gaussian:
    variances, modes, rest = waves.leading(cov, rank)
    return Gaussian(mean.float(), (torch.cat([variances, rest[None]]) + FLOOR).float(), modes.float())


def _chains(rows: Tensor, states: States, rank: int) -> dict[str, Gaussian]:
    """Chains in time by name; of large states only by wave number, as others would be dense."""
    if Frames.of(states.layout) is None or not min(rows.shape) > 2:
        return {}
    if states.periodic:
        found = {"Markov by wave number": _markov(rows, states, 0.0, False, rank),
                 "local operator": _local(rows, states, rank)}
        return {name: gaussian for name, gaussian in found.items() if gaussian is not None}
    if states.layout.size > DENSE:
        return {}
    return {f"Markov, ridge {ridge:g}": _markov(rows, states, ridge, False) for ridge in RIDGES}


def _markov(rows: Tensor, states: States, ridge: float, single: bool, rank: int = RANK,
            persistent: bool = False) -> Gaussian:
    frames = Frames.of(states.layout)
    if frames is None:
        raise ValueError(f"got {states.layout}; expected parts with two frames or more, 'time' their first axis")
    mean = frames.mean(rows.mean(0, dtype=torch.float64))
    if not states.periodic:
        cov = frames.chained(torch.cov(rows.double().mT), ridge, single, persistent)
        return _dense(mean, cov)
    waves = Waves.of(states.layout, states.periodic)
    mean = waves.level(mean)
    cov = frames.through(waves.channels).chained(_products(rows, mean, waves), ridge, single, persistent)
    return _by_waves(mean, waves, cov, rank)


def _local(rows: Tensor, states: States, rank: int = RANK) -> Gaussian | None:
    frames = Frames.of(states.layout)
    if frames is None or len(states.periodic) != 1:
        return None
    waves = Waves.of(states.layout, states.periodic)
    channels = frames.through(waves.channels)
    if channels.moving.shape[1] > 1 or len(channels.still):
        return None
    mean = waves.level(frames.mean(rows.mean(0, dtype=torch.float64)))
    order = channels.moving[:, 0]
    cov = torch.zeros_like(found := _products(rows, mean, waves))
    cov[:, order[:, None], order] = smoothed(found[:, order[:, None], order])
    return _by_waves(mean, waves, cov, rank)


def _by_waves(mean: Tensor, waves: Waves, cov: Tensor, rank: int) -> Gaussian:
    """Dense where it is small, else of low rank."""
    return _dense(mean, waves.dense(cov)) if len(mean) <= DENSE else _of_waves(mean, waves, cov, rank)


def _dense(mean: Tensor, cov: Tensor) -> Gaussian:
    """Diagonalised in float64: in 32 bits small variances would be rounding, and some below zero."""
    return Gaussian(mean.double(), (cov + cov.mT) / 2 + FLOOR * torch.eye(len(cov))).float()


def _sizes(states: States) -> list[int]:
    return [variable.size for variable in states.layout.variables.values()]


def _axes(part: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Leading axes ``(n, k)`` of ``part (N, n)`` and the mean variance beyond them; all axes if there are so few."""
    size = part.shape[1]
    if rank >= size - 1:
        return torch.eye(size), torch.zeros(())
    found = Gaussian.fit(part, rank)
    return found.axes, found.variances[-1]
