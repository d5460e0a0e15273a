"""The network that adds nothing: what is left of a prior whose network was no better than its Gaussian."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Zero"]


class Zero(nn.Module):
    """Zeros, ``(u, c, keep) -> (N, n)``, or with ``scalar`` ``(N,)``: a prior with it is its Gaussian."""

    def __init__(self, scalar: bool = False) -> None:
        super().__init__()
        self.scalar, self.nothing = scalar, nn.Parameter(torch.zeros(0))

    def forward(self, u: Tensor, c: Tensor, keep: Tensor) -> Tensor:
        return (0 * u).sum(-1) if self.scalar else 0 * u
