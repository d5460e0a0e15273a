r"""Steering: a score that leads samples of a prior to what is asked for of their images.

Given :math:`x_\sigma` the clean state has Tweedie's mean and the covariance :math:`\sigma^2 J`, :math:`J` the mean's
Jacobian. With goals :math:`g`, linearised at the mean's own image (:mod:`.goals`), the score of what meets them is

.. math:: s + J^T A^T (\sigma^2 A J A^T)^{-1} (y - g), \qquad A = d g / d x ,

moment matching for few goals. One vector-Jacobian product of the network gives a direction that needs the matrix in
the middle only roughly: how far to go along it follows from what it promises, :math:`\sigma^2 A J^T A^T w`. All solves
are of sharp images; the slope of a cut is the narrower the lower the noise level is. Above a level where a mean is
hardly an image nothing is steered.

Reference: Learning Diffusion Priors from Observations by Expectation Maximization (Rozet et al., 2024),
https://arxiv.org/abs/2405.13712
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...calls import Plan
from ...energy import Energy, Evaluation, score_only
from .goals import Goals

__all__ = ["Steered", "steered"]

HIGHEST = 1.5  # noise level from which on a mean is an image
WIDTH = (0.1, 0.3)  # of slopes, at the lowest level and at the highest
FARTHEST = 3.0  # a move of the mean, in standard deviations of a pixel, in the mean over those that would flip


class Steered(Energy):
    """``prior`` given that ``phase(mean, width)`` meets the goals: a solve of each sample at every steered level."""

    exact = False

    def __init__(self, prior: Energy, phase: Callable[[Tensor, float], Tensor], goals: Goals) -> None:
        super().__init__()
        self.prior, self.phase, self.goals = prior, phase, goals
        self.lowest = prior.lowest

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        raise score_only(self)

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        if not steered(float(sigma.max())):
            return self.prior.plan(x, sigma)
        return Plan((), lambda _: self._steered(x, sigma))

    def _steered(self, x: Tensor, sigma: Tensor) -> Evaluation:
        with torch.enable_grad():
            v = x.detach().requires_grad_()
            found = self.prior.evaluate(v, sigma)
            mean = v + sigma**2 * found.score
            at = mean.detach().requires_grad_()
            image = self.phase(at, WIDTH[0] + (WIDTH[1] - WIDTH[0]) * float(sigma.max()) / HIGHEST)
            value, flips = self.goals.rows(image.detach())
            rows = [torch.autograd.grad(image, at, part, retain_graph=True)[0] for part in flips.unbind(1)]
        target = self.goals.target(value)
        rows, gap = torch.stack(rows, 1) / target[:, None], (1 - value / target)[..., None]
        gram = rows @ rows.mT
        ridge = 1e-3 * gram.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None] * torch.eye(gram.shape[-1]).to(gram)
        wanted = (rows.mT @ torch.linalg.solve(gram + ridge, gap))[..., 0]
        (pull,) = torch.autograd.grad(mean, v, wanted)
        promised = (rows @ pull[..., None])[..., 0]
        far = (gap[..., 0] * promised).sum(-1) / promised.square().sum(-1).clamp_min(1e-20)
        move = _shortened(far.clamp_min(0)[:, None] * pull)
        return Evaluation(None, ((mean - x) / sigma**2).detach() + move / sigma**2, {})


def steered(level: float) -> bool:
    """Whether a mean is an image at a noise level."""
    return level <= HIGHEST


def _shortened(move: Tensor) -> Tensor:
    """No farther than so many standard deviations where it is largest."""
    size = move.abs().topk(max(1, move.shape[-1] // 50), dim=-1).values.mean(-1, keepdim=True)
    return move * (FARTHEST / size.clamp_min(1e-12)).clamp_max(1)
