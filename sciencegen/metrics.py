r"""Scores of samples, forecasts and designs: tensors in, tensors out, on the device and in the dtype they come in.

Estimates from finitely many samples are the unbiased ("fair") ones: their expectation does not depend on how many
samples there are, so that ensembles of different sizes can be compared. They can fall below zero by chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from scipy import stats
from torch import Tensor

from .energy import Energy
from .random import Streams

__all__ = ["Calibration", "Interval", "calibration", "coverage", "crps", "diversity", "energy_distance", "interval",
           "mmd", "relative_error", "tweedie_error", "tweedie_errors"]


class Interval(NamedTuple):
    """A mean and the ends of its confidence interval."""

    mean: Tensor
    low: Tensor
    high: Tensor


def relative_error(estimate: Tensor, truth: Tensor, axes: int = 1) -> Tensor:
    """``|estimate - truth| / |truth|`` in the 2-norm over the last ``axes`` axes, ``(*B, ...) -> (*B,)``."""
    over = tuple(range(-axes, 0))
    if estimate.shape != truth.shape:
        raise ValueError(f"got shapes {tuple(estimate.shape)} and {tuple(truth.shape)}; expected equal ones")
    return torch.linalg.vector_norm(estimate - truth, dim=over) / torch.linalg.vector_norm(truth, dim=over)


def crps(samples: Tensor, truth: Tensor) -> Tensor:
    r"""Continuous ranked probability score ``E|X - y| - E|X - X'| / 2``, low is good, in the units of ``truth``.

    The fair estimate for an ensemble: "Fair scores for ensemble forecasts" (Ferro, 2014),
    https://doi.org/10.1002/qj.2270.

    Arguments:
        samples: ``(S, *B)``, at least two.
        truth: ``(*B)``.
    """
    count = _members(samples, truth)
    ranks = torch.arange(count, dtype=samples.dtype, device=samples.device).reshape(-1, *(1,) * truth.ndim)
    between = ((2 * ranks - count + 1) * samples.sort(0).values).sum(0) / (count * (count - 1))
    return (samples - truth).abs().mean(0) - between


def coverage(samples: Tensor, truth: Tensor, level: float = 0.9) -> Tensor:
    """Share ``()`` of the numbers in ``truth (*B)`` inside the central ``level`` interval of ``samples (S, *B)``.

    Equals ``level`` in the mean if truth and samples are drawn alike: the k-th of S ordered samples is taken for the
    quantile ``k / (S + 1)``. ValueError if there are too few samples for the level.
    """
    count = _members(samples, truth)
    place = (count + 1) * (1 - level) / 2 - 1  # counted from 0, between two samples if not whole
    if not (0 < level < 1 and place > -1e-9):
        raise ValueError(f"got {count} samples for an interval of {level}; expected a level in (0, 1) and at least "
                         "2 / (1 - level) - 1 samples")
    lower, part = int(place + 1e-9), place - int(place + 1e-9)
    ordered = samples.sort(0).values
    low, high = (ends[lower].lerp(ends[lower + 1], part) for ends in (ordered, ordered.flip(0)))
    return ((low <= truth) & (truth <= high)).to(samples.dtype).mean()


class Calibration(NamedTuple):
    """How samples of a posterior stand to the truth.

    Arguments:
        error: root mean square of the samples' mean less the truth.
        spread: what that would be if the truth were drawn as the samples are.
        coverage: share of the truth within the central interval.
    """

    error: Tensor
    spread: Tensor
    coverage: Tensor


def calibration(samples: Tensor, truth: Tensor, level: float = 0.9) -> Calibration:
    """Error, spread and coverage, ``()`` each, of samples ``(S, *B)`` of a truth ``(*B)``.

    With ``S`` samples the truth differs from their mean by ``sqrt(1 + 1 / S)`` of their standard deviation: "Why Should
    Ensemble Spread Match the RMSE of the Ensemble Mean?" (Fortin et al., 2014), https://doi.org/10.1175/JHM-D-14-0008.1
    """
    count = _members(samples, truth)
    spread = ((1 + 1 / count) * samples.var(0).mean()).sqrt()
    return Calibration((samples.mean(0) - truth).square().mean().sqrt(), spread, coverage(samples, truth, level))


def diversity(outlines: Tensor) -> Tensor:
    """Mean distance ``()`` over pairs of outlines ``(S, n, k)``: root mean square over their points, in their units."""
    if outlines.ndim != 3 or len(outlines) < 2:
        raise ValueError(f"got outlines of shape {tuple(outlines.shape)}; expected (S, n, k) with at least 2 of them")
    return torch.pdist(outlines.flatten(1)).mean() / math.sqrt(outlines.shape[1])


def energy_distance(first: Tensor, second: Tensor) -> Tensor:
    r"""``2 E|X - Y| - E|X - X'| - E|Y - Y'|``, ``(S, d), (T, d) -> ()``: zero in the mean iff drawn alike.

    "Energy statistics: A class of statistics based on distances" (Szekely & Rizzo, 2013),
    https://doi.org/10.1016/j.jspi.2013.03.018. (SciPy's function of this name is the root of the biased estimate.)
    """
    _sets(first, second)
    return 2 * _distances(first, second).mean() - torch.pdist(first).mean() - torch.pdist(second).mean()


def mmd(first: Tensor, second: Tensor, width: float | None = None) -> Tensor:
    r"""Squared maximum mean discrepancy with the kernel ``exp(-|x - y|^2 / 2 width^2)``, ``(S, d), (T, d) -> ()``.

    "A Kernel Two-Sample Test" (Gretton et al., 2012), https://jmlr.org/papers/v13/gretton12a.html, its unbiased
    estimate. ``width`` is the median distance between all given points unless given.
    """
    _sets(first, second)
    across, within = _distances(first, second), (torch.pdist(first), torch.pdist(second))
    width = torch.cat([across.flatten(), *within]).median() if width is None else width
    kernel = [torch.exp(-((d / width) ** 2) / 2).mean() for d in (across, *within)]
    return kernel[1] + kernel[2] - 2 * kernel[0]


def interval(values: Tensor | Sequence[float], level: float = 0.95) -> Interval:
    """Mean over repetitions (seeds) and its Student-t confidence interval, ``(R, *B) -> (*B)`` each, ``R >= 2``."""
    values = torch.as_tensor(values)
    if values.ndim == 0 or len(values) < 2 or not 0 < level < 1:
        raise ValueError(f"got values of shape {tuple(values.shape)} and level {level}; expected at least 2 "
                         "repetitions along the first axis and a level in (0, 1)")
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * values.std(0) / math.sqrt(len(values))
    mean = values.mean(0)
    return Interval(mean, mean - half, mean + half)


def tweedie_error(energy: Energy, clean: Tensor, sigmas: Tensor | Sequence[float], seed: int = 0) -> Tensor:
    r"""``E |mean(x + sigma z) - x|^2 / (sigma^2 d)`` at each level, ``clean (N, d), sigmas (L,) -> (L,)``.

    The denoising error on held-out data, one for the identity. The exact energy has the lowest; what another one has
    above it is ``sigma^2 E |its score - the exact score|^2 / d``: "A Connection Between Score Matching and Denoising
    Autoencoders" (Vincent, 2011), https://doi.org/10.1162/NECO_a_00142. The noise is the same for every energy.
    """
    return tweedie_errors(energy, clean, sigmas, seed).mean(-1)


def tweedie_errors(energy: Energy, clean: Tensor, sigmas: Tensor | Sequence[float], seed: int = 0) -> Tensor:
    """:func:`tweedie_error` of each coordinate, ``(L, d)``."""
    rows = Streams(torch.arange(len(clean)) + seed * 2**32).to(clean.device)
    errors = []
    with torch.no_grad():
        for k, sigma in enumerate(torch.as_tensor(sigmas).tolist()):
            noise = rows.at(k).normal(clean.shape[-1], clean.dtype)
            error = (energy.mean(clean + sigma * noise, sigma) - clean) / sigma
            errors.append(error.square().mean(0))
    return torch.stack(errors)


def _members(samples: Tensor, truth: Tensor) -> int:
    if samples.shape[1:] != truth.shape or samples.ndim == truth.ndim or len(samples) < 2:
        raise ValueError(f"got samples {tuple(samples.shape)} for a truth {tuple(truth.shape)}; expected (S, *B) with "
                         "S >= 2, and (*B)")
    return len(samples)


def _sets(first: Tensor, second: Tensor) -> None:
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1] or min(len(first), len(second)) < 2:
        raise ValueError(f"got samples of shapes {tuple(first.shape)} and {tuple(second.shape)}; expected (S, d) and "
                         "(T, d), at least 2 each")


def _distances(first: Tensor, second: Tensor) -> Tensor:
    # Not through the matrix product, which loses half the digits of a small distance.
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")
