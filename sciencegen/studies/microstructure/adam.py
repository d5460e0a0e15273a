r"""Adam on the white noise of a level set: the plain way, and the floor that any other has to beat.

The image is soft, :math:`1 / (1 + e^{-f / w})`, its properties those of a mixture, and the width falls while the noise
moves down :math:`\sum_i (g_i / y_i - 1)^2`. What comes of it is cut at the end.

"Adam: A Method for Stochastic Optimization" (Kingma & Ba, 2015), https://arxiv.org/abs/1412.6980
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .goals import ROUGH, Goals

__all__ = ["descend"]

RATE, BETAS = 0.1, (0.8, 0.95)
WIDE, NARROW = 0.3, 0.03  # widths at the beginning and at the end, in the field's spread


def descend(x: Tensor, height: Callable[[Tensor], Tensor], goals: Goals, solves: int, target: Tensor | None = None
            ) -> Tensor:
    """States ``x (B, d)`` after ``solves`` steps, each a solve a design.

    Arguments:
        height: ``(x) -> (B, ny, nx)``, the field above its threshold.
        target: of each state its own, ``(B, m)``; that of the goals unless given.
    """
    target = goals.target(x) if target is None else target.to(x)
    x = x.clone().requires_grad_()
    optimiser = torch.optim.Adam([x], RATE, betas=BETAS)
    for step in range(solves):
        with torch.enable_grad():
            width = WIDE * (NARROW / WIDE) ** (step / max(solves - 1, 1))
            soft = torch.sigmoid(height(x) / width)
            off = (goals.of(soft, ROUGH) / target - 1).square().sum(-1)
            (x.grad,) = torch.autograd.grad(off.sum(), x)
        optimiser.step()
    return x.detach()
