"""What repetitions with other seeds say of a number: its mean and how well it is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from scipy import stats
from torch import Tensor

__all__ = ["Interval", "interval"]


class Interval(NamedTuple):
    """A mean and the ends of its confidence interval."""

    mean: Tensor
    low: Tensor
    high: Tensor


def interval(values: Tensor | Sequence[float], level: float = 0.95) -> Interval:
    """Mean over repetitions (seeds) and its Student-t confidence interval, ``(R, *B) -> (*B)`` each, ``R >= 2``."""
    values = torch.as_tensor(values)
    if values.ndim == 0 or len(values) < 2 or not 0 < level < 1:
        raise ValueError(f"got values of shape {tuple(values.shape)} and level {level}; expected at least 2 "
                         "repetitions along the first axis and a level in (0, 1)")
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * values.std(0) / math.sqrt(len(values))
    mean = values.mean(0)
    return Interval(mean, mean - half, mean + half)
