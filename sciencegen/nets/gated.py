"""A network's output times a gate of the noise level: how far it is to be trusted at each.

Where a network was seen to do harm it is kept out. A correction ``F`` of a Gaussian, scaled by the ``w`` that makes the
held-out error least, is never worse there than the Gaussian (``w = 0``) and never worse than the network (``w = 1``):
shrinkage, as in "Estimation with Quadratic Loss" (James & Stein, 1961), https://doi.org/10.1007/978-1-4612-0919-5_30
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["Gated"]


class Gated(nn.Module):
    """``w(c) net(u, c, keep)``, with the gate ``w`` linear between knots in the logarithm of the level.

    Arguments:
        net: what is gated.
        knots: rising values of ``c = log(sigma) / 4``, ``(k,)``.
        weights: of the gate at the knots, ``(k,)``; beyond the ends the nearest one's.
    """

    def __init__(self, net: nn.Module, knots: Sequence[float], weights: Sequence[float]) -> None:
        super().__init__()
        if len(knots) != len(weights) or len(knots) < 2 or list(knots) != sorted(knots):
            raise ValueError(f"got {len(knots)} knots and {len(weights)} weights; expected as many, two or more, "
                             "rising")
        self.net = net
        self.register_buffer("knots", torch.tensor(knots))
        self.register_buffer("weights", torch.tensor(weights))

    def forward(self, u: Tensor, c: Tensor, keep: Tensor) -> Tensor:
        """Of the network's shape, ``(N, n)`` or ``(N,)``."""
        out = self.net(u, c, keep)
        knots, weights = self.knots.to(c), self.weights.to(c)
        above = torch.searchsorted(knots, c.detach().contiguous()).clamp(1, len(knots) - 1)
        share = ((c - knots[above - 1]) / (knots[above] - knots[above - 1])).clamp(0, 1)
        gate = weights[above - 1].lerp(weights[above], share)
        return out * (gate if out.ndim > 1 else gate[:, 0])
