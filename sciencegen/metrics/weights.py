r"""Weights of an ensemble's members, as importance sampling leaves them.

:math:`w_i \ge 0, \sum_i w_i = 1` over the members of one forecast. An average over the members then stands for an
average over the law that the weights aim at, with the variance of :math:`1 / \sum_i w_i^2` equal members: "A Note on
Importance Sampling Using Standardized Weights" (Kong, 1992), University of Chicago, Technical Report 348.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["effective_size", "members", "shares"]


def effective_size(weights: Tensor) -> Tensor:
    r"""Effective sample size :math:`(\sum_i w_i)^2 / \sum_i w_i^2` of weights over the first axis, ``(S, *B) -> (*B)``.

    ``S`` for equal weights, 1 where one member has all.
    """
    return weights.sum(0).square() / weights.square().sum(0)


def members(samples: Tensor, truth: Tensor, axes: int = 0) -> int:
    """How many members ``samples (S, *B)`` has; ValueError where they are not two or more of that ``truth (*B)``."""
    if samples.shape[1:] != truth.shape or samples.ndim == truth.ndim or len(samples) < 2:
        raise ValueError(f"got samples {tuple(samples.shape)} for a truth {tuple(truth.shape)}; expected (S, *B) with "
                         "S >= 2, and (*B)")
    if truth.ndim < axes:
        raise ValueError(f"got a truth {tuple(truth.shape)}; expected at least {axes} axes, over which one distance "
                         "is taken")
    return len(samples)


def shares(weights: Tensor | None, samples: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Shares of the members, of sum one, that broadcast against ``samples (S, *B)``; ``1 / S`` each without weights.

    Arguments:
        weights: ``(S, *A)``, not negative, of any sum; ``A`` leads ``B``: ``(S,)`` is one set of weights for all.
        dtype: of the shares; the samples' own by default.
    """
    dtype = samples.dtype if dtype is None else dtype
    if weights is None:
        return samples.new_full((len(samples), *(1,) * (samples.ndim - 1)), 1 / len(samples), dtype=dtype)
    if weights.ndim < 1 or weights.shape != samples.shape[: weights.ndim] or not bool((weights >= 0).all()):
        raise ValueError(f"got weights {tuple(weights.shape)} for samples {tuple(samples.shape)}; expected one a "
                         "member that is not negative: (S,), or (S, ...) with the samples' first axes")
    weights = weights.to(samples.device, dtype)
    total = weights.sum(0, keepdim=True)
    if not bool((weights.amax(0) < total[0]).all()):
        raise ValueError("got weights of which one is all; expected at least two members of some weight: the forecast "
                         "is tilted too far, ask for more members or a smaller weight of the objective")
    return (weights / total).reshape(*weights.shape, *(1,) * (samples.ndim - weights.ndim))
