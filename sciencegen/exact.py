r"""Closed-form energies: the oracles, the baselines, and what a network is a correction to.

Convolving a Gaussian (or a mixture of them) with ``N(0, sigma^2 I)`` adds ``sigma^2`` to its variances, so that energy,
score and Tweedie's mean are known at every noise level.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .calls import Asking
from .energy import Energy, level
from .layout import View

__all__ = ["Gaussian", "Mixture"]


class Gaussian(Energy):
    r"""``N(mean, cov)``: ``E = (x-m)^T (C + sigma^2)^{-1} (x-m) / 2 + log det 2 pi (C + sigma^2) / 2``.

    Arguments:
        mean: ``(d,)``.
        cov: ``(d, d)`` symmetric positive semi-definite, or its diagonal ``(d,)``.
    """

    def __init__(self, mean: Tensor, cov: Tensor) -> None:
        super().__init__()
        mean, cov = torch.as_tensor(mean), torch.as_tensor(cov)
        cov = torch.diag(cov) if cov.ndim == 1 else cov
        if mean.ndim != 1 or cov.shape != 2 * mean.shape:
            raise ValueError(f"got mean {tuple(mean.shape)} and cov {tuple(cov.shape)}; expected (d,) and (d, d)")
        if not torch.allclose(cov, cov.mT, atol=1e-6 * float(cov.abs().max())):
            raise ValueError("got a covariance that is not symmetric; expected cov == cov.T")
        values, vectors = torch.linalg.eigh(cov)
        if values[0] < -1e-6 * values[-1]:
            raise ValueError(f"got a covariance with eigenvalue {float(values[0]):.3g}; expected none below zero")
        self.register_buffer("center", mean)
        self.register_buffer("cov", cov)
        self.register_buffer("variances", values.clamp_min(0))
        self.register_buffer("axes", vectors)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.evaluate(x, sigma)[0]

    def ask(self, x: Tensor, sigma: Tensor) -> Asking:
        yield []
        modes, variance = self.modes(x), self.variances + sigma**2
        return self.value(modes, variance), -(modes / variance) @ self.axes.mT

    def modes(self, x: Tensor) -> Tensor:
        """``V^T (x - m)``: the state in the covariance's eigenbasis, ``(*B, d)``; ``v @ axes.mT`` leads back."""
        return (x - self.center) @ self.axes

    def value(self, modes: Tensor, variance: Tensor) -> Tensor:
        """The energy ``(*B,)`` from :meth:`modes` and their noised variances, both ``(*B, d)``."""
        return (modes**2 / variance + torch.log(2 * math.pi * variance)).sum(-1) / 2

    def shape_by(self, v: Tensor, gain: Tensor) -> Tensor:
        """``V diag(gain) V^T v``: a function of the covariance, ``gain (*B, d)`` in its eigenbasis, of ``v``."""
        return ((v @ self.axes) * gain) @ self.axes.mT

    def marginal(self, view: View) -> Gaussian:
        """The Gaussian of the coordinates in ``view`` (which must have no copies)."""
        rows = _part(view)
        return Gaussian(self.center[rows], self.cov[rows][:, rows])


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
        return Mixture(self.log_weights.exp(), self.centers[:, _part(view)], self.std)


def _part(view: View) -> Tensor:
    if view.copies:
        raise ValueError(f"got a view with copies, '{view}'; expected one part")
    return view.rows
