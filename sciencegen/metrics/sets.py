"""Distances within a set of samples, and between two: whether they are drawn alike, row by row or not."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["diversity", "energy_distance", "mmd"]


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


def _sets(first: Tensor, second: Tensor) -> None:
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1] or min(len(first), len(second)) < 2:
        raise ValueError(f"got samples of shapes {tuple(first.shape)} and {tuple(second.shape)}; expected (S, d) and "
                         "(T, d), at least 2 each")


def _distances(first: Tensor, second: Tensor) -> Tensor:
    # Not through the matrix product, which loses half the digits of a small distance.
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")
