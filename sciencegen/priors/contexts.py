r"""Contexts: how a network meets what it is given, so that a forecast may feed on frames of its own.

A forecast gives a network its own last frames, which are not quite data. Noise on what is given, small and of many
sizes, teaches it to take an error out rather than to make it larger: "Learning to Simulate Complex Physics with Graph
Networks" (Sanchez-Gonzalez et al., 2020), https://arxiv.org/abs/2002.09405. Sizes are log-uniform, because one size
large enough for stability would hide what a finer state says.

At the highest level nothing is known but what is given, and the denoising loss is that of regression. Rows that are at
that level, and start from ``x = 0`` instead of noise that a network would have to ignore, make its Tweedie mean there a
deterministic surrogate at one call a window, which :class:`sciencegen.sample.Refine` asks for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .base import Draw

__all__ = ["Balance", "Context"]

DECADES = 3.0  # over which sizes of noise are spread
KNOTS, FIRST, LAST = 16, math.log(1e-4), math.log(80.0)  # of learned weights, in the logarithm of the level
SPEED = 30.0  # at which they follow a rate that suits a network's weights


@dataclass(frozen=True)
class Context:
    """What a row in which something is given is trained with.

    Arguments:
        noise: largest standard deviation of the noise on what is given, in that of each coordinate; 0 for none.
        means: share of the rows in which nothing else is known: at level ``high``, from ``x = 0``.
        high: noise level of those.
        balanced: whether levels have learned weights (:class:`Balance`).

    Raises:
        ValueError: noise below zero, a share that is none, a level that is not above zero.
    """

    noise: float = 0.0
    means: float = 0.0
    high: float = 80.0
    balanced: bool = False

    def __post_init__(self) -> None:
        if not (0 <= self.noise < math.inf and 0 <= self.means <= 1 and 0 < self.high < math.inf):
            raise ValueError(f"got {self}; expected noise >= 0, means from 0 to 1 and high > 0")

    def size(self, draw: Draw) -> Tensor:
        """Standard deviations ``(b, 1)`` of the noise on what is given."""
        if not self.noise:
            return torch.zeros_like(draw.sigma)
        return self.noise * 10 ** (-DECADES * draw.uniform[:, 1:2])

    def blank(self, draw: Draw) -> Tensor:
        """Which rows ``(b, 1)`` start from nothing."""
        return draw.uniform[:, :1] < self.means if self.means else torch.zeros_like(draw.sigma, dtype=torch.bool)

    def config(self) -> Mapping[str, Any]:
        """Itself, JSON-ready; ``Context(**config)`` is the inverse."""
        return asdict(self)


class Balance(nn.Module):
    r"""Learned weights of noise levels: a loss ``l`` counts as ``l / e^w + w``, ``w`` of the row's kind and level.

    At the least of it ``e^w`` is the mean loss there, so that each level's relative improvement counts alike. Where a
    system is deterministic the mean is learned to 1e-5 of the spread, and what small levels can never know would drown
    it. "Analyzing and Improving the Training Dynamics of Diffusion Models" (Karras et al., 2024),
    https://arxiv.org/abs/2312.02696, section 2.3.

    Arguments:
        kinds: of rows.
    """

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(kinds, KNOTS + 1))

    def forward(self, loss: Tensor, draw: Draw, blank: Tensor) -> Tensor:
        """Losses ``(b,)`` of rows, those that start from nothing ``(b, 1)`` at a level of their own."""
        place = ((draw.sigma[:, 0].log() - FIRST) / (LAST - FIRST)).clamp(0, 1) * (KNOTS - 1)
        below = place.long().clamp_max(KNOTS - 2)
        rows = SPEED * self.table[draw.part]
        low, high = (rows.gather(1, k[:, None])[:, 0] for k in (below, below + 1))
        weight = torch.where(blank[:, 0], rows[:, KNOTS], low.lerp(high, place - below))
        return loss * torch.exp(-weight) + weight
