r"""Scores of an ensemble by one truth: the continuous ranked probability score, the energy score, spread and coverage.

With shares :math:`w_i` of the members (:math:`1/S` each if they have no weights) the pairs of different members have
the weight :math:`1 - \sum_i w_i^2`; dividing by it makes variance and mean distance of pairs unbiased where the shares
are fixed, and the fair estimates for equal ones.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .weights import members, shares

__all__ = ["Calibration", "calibration", "coverage", "crps", "energy_score", "mean", "quantile", "spread_skill",
           "variance"]


def mean(samples: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean over the members, ``(S, *B) -> (*B)``."""
    return (shares(weights, samples) * samples).sum(0)


def variance(samples: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Unbiased variance over the members :math:`\sum_i w_i (x_i - m)^2 / (1 - \sum_i w_i^2)`, ``(S, *B) -> (*B)``."""
    share = shares(weights, samples)
    apart = samples - (share * samples).sum(0)
    return (share * apart.square()).sum(0) / (1 - share.square().sum(0))


def crps(samples: Tensor, truth: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Continuous ranked probability score ``E|X - y| - E|X - X'| / 2``, low is good, in the units of ``truth``.

    The fair estimate for an ensemble: "Fair scores for ensemble forecasts" (Ferro, 2014),
    https://doi.org/10.1002/qj.2270.

    Arguments:
        samples: ``(S, *B)``, at least two.
        truth: ``(*B)``.
        weights: of the members, ``(S,)`` or ``(S, ...)`` with the first axes of the samples; equal if not given.
    """
    members(samples, truth)
    share = shares(weights, samples)
    ordered, order = samples.sort(0)
    sorted_share = share.expand_as(samples).gather(0, order)
    between = (sorted_share * (2 * sorted_share.cumsum(0) - sorted_share - 1) * ordered).sum(0)
    return (share * (samples - truth).abs()).sum(0) - between / (1 - share.square().sum(0))


def energy_score(samples: Tensor, truth: Tensor, axes: int = 1, weights: Tensor | None = None) -> Tensor:
    r"""Energy score ``E|X - y| - E|X - X'| / 2`` of whole fields, in 2-norms over the last ``axes`` axes, low is good.

    ``(S, *B, *space), (*B, *space) -> (*B)``, fair as :func:`crps`, which it is for one number; unlike a mean of it, it
    asks that the members vary together as the truth does. "Strictly Proper Scoring Rules, Prediction, and Estimation"
    (Gneiting & Raftery, 2007), https://doi.org/10.1198/016214506000001437
    """
    count = members(samples, truth, axes)
    share = shares(weights, samples.flatten(-axes)[..., 0])
    error = torch.linalg.vector_norm((samples - truth).flatten(-axes), dim=-1)
    pairs = torch.zeros_like(error[0])
    for i in range(1, count):  # a member at a time: all pairs of fields at once would not fit
        apart = torch.linalg.vector_norm((samples[:i] - samples[i]).flatten(-axes), dim=-1)
        pairs = pairs + share[i] * (share[:i] * apart).sum(0)
    return (share * error).sum(0) - pairs / (1 - share.square().sum(0))


def quantile(samples: Tensor, share: float, weights: Tensor | None = None) -> Tensor:
    """The value ``(*B)`` below which a ``share`` of the law lies that ``samples (S, *B)`` are drawn from.

    The k-th of S ordered samples is taken for the quantile ``k / (S + 1)`` (Weibull's rule): so often a further sample
    lies below it. With weights, the middle of a member's share takes the place of ``(k - 1/2) / S``.

    Raises:
        ValueError: the quantile is beyond the outermost member.
    """
    part = shares(weights, samples, torch.float64)  # the outermost of few samples is where the quantile is: no rounding
    ordered, order = samples.sort(0)
    part = part.expand_as(samples).gather(0, order)
    places = (part.cumsum(0) - part / 2 + part.square().sum(0) / 2) / (1 + part.square().sum(0))
    slack = 1e-9
    if bool((places[0] > share + slack).any() | (places[-1] < share - slack).any()):
        raise ValueError(f"got {len(samples)} samples for the quantile {share:.4g}; expected at least "
                         f"{1 / min(share, 1 - share) - 1:.0f}, counted as equal ones if they have weights")
    above = (places < share - slack).sum(0, keepdim=True).clamp(1, len(samples) - 1)
    ends, values = ((x.gather(0, above - 1)[0], x.gather(0, above)[0]) for x in (places, ordered))
    return values[0].lerp(values[1], ((share - ends[0]) / (ends[1] - ends[0])).clamp(0, 1).to(samples))


def coverage(samples: Tensor, truth: Tensor, level: float = 0.9, weights: Tensor | None = None) -> Tensor:
    """Share ``()`` of the numbers in ``truth (*B)`` inside the central ``level`` interval of ``samples (S, *B)``.

    Equals ``level`` in the mean if truth and samples are drawn alike, by the rule of :func:`quantile`. ValueError if
    there are too few samples for the level.
    """
    count = members(samples, truth)
    if not (0 < level < 1 and (weights is not None or (count + 1) * (1 - level) / 2 > 1 - 1e-9)):
        raise ValueError(f"got {count} samples for an interval of {level}; expected a level in (0, 1) and at least "
                         "2 / (1 - level) - 1 samples")
    low, high = (quantile(samples, (1 + sign * level) / 2, weights) for sign in (-1, 1))
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


def calibration(samples: Tensor, truth: Tensor, level: float = 0.9, weights: Tensor | None = None) -> Calibration:
    """Error, spread and coverage, ``()`` each, of samples ``(S, *B)`` of a truth ``(*B)``.

    With ``S`` samples the truth differs from their mean by ``sqrt(1 + 1 / S)`` of their standard deviation: "Why Should
    Ensemble Spread Match the RMSE of the Ensemble Mean?" (Fortin et al., 2014), https://doi.org/10.1175/JHM-D-14-0008.1
    """
    members(samples, truth)
    more = 1 + shares(weights, samples).square().sum(0)
    spread = (more * variance(samples, weights)).mean().sqrt()
    error = (mean(samples, weights) - truth).square().mean().sqrt()
    return Calibration(error, spread, coverage(samples, truth, level, weights))


def spread_skill(samples: Tensor, truth: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Spread-skill ratio :math:`\sqrt{\frac{S + 1}{S} \overline{\mathrm{var}}} / \mathrm{rmse}`, ``()``; one is right.

    :class:`Calibration`'s spread over its error: below one the members are too much alike, above one too far apart.
    """
    members(samples, truth)
    more = 1 + shares(weights, samples).square().sum(0)
    error = (mean(samples, weights) - truth).square().mean()
    return ((more * variance(samples, weights)).mean() / error).sqrt()
