"""A mixture of round Gaussians in closed form: the oracle with several modes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..energy import Energy, level
from ..values import finite
from ..view import View
from .axes import one_part

__all__ = ["Mixture"]


class Mixture(Energy):
    r"""``sum_k w_k N(mean_k, std_k^2 I)``.

    Arguments:
        weights: ``(k,)`` positive, normalised here.
        means: ``(k, d)``.
        std: ``()`` or ``(k,)``.
    """

    def __init__(self, weights: Tensor, means: Tensor, std: Tensor | float) -> None:
        super().__init__()
        means = torch.as_tensor(means)
        weights = torch.as_tensor(weights, dtype=means.dtype)
        if means.ndim != 2 or weights.shape != means.shape[:1] or not bool((weights > 0).all()):
            raise ValueError(f"got weights {weights.tolist()} and means {tuple(means.shape)}; expected (k,) positive "
                             "numbers and (k, d)")
        for name, value in (("means", means), ("weights", weights), ("std", torch.as_tensor(std))):
            finite(f"a mixture's {name}", value)
        self.register_buffer("log_weights", torch.log(weights / weights.sum()))
        self.register_buffer("centers", means)
        self.register_buffer("std", torch.as_tensor(std, dtype=means.dtype))

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        variance = self.std**2 + level(sigma, x) ** 2
        square = ((x[..., None, :] - self.centers) ** 2).sum(-1)
        spread = x.shape[-1] / 2 * torch.log(2 * math.pi * variance)
        return -torch.logsumexp(self.log_weights - square / (2 * variance) - spread, dim=-1)

    def marginal(self, view: View) -> Mixture:
        """The mixture of the coordinates in ``view`` (which must have no copies)."""
        return Mixture(self.log_weights.exp(), self.centers[:, one_part(view)], self.std)
