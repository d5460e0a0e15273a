r"""Likelihood of states under a prior, by the change of variables along its probability flow.

The flow ``dx / d sigma = -sigma s(x, sigma)`` carries a state of the lowest noise level to nearly Gaussian noise, and

.. math:: \log p_{low}(x) = \log p_{high}(x_{high}) - \int_{low}^{high} \sigma \, \nabla \cdot s \; d \sigma

"Score-Based Generative Modeling through Stochastic Differential Equations" (Song et al., 2021),
https://arxiv.org/abs/2011.13456, appendix D. It says which of one's simulations a prior does not know, in nats. It is
no energy: its gradient is not the score that was used.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..energy import Energy
from ..random import Streams
from ..sample import karras

__all__ = ["log_likelihood"]

LARGEST = 256  # numbers of a state whose divergence is taken exactly


def log_likelihood(energy: Energy, x: Tensor, steps: int = 64, low: float = 2e-3, high: float = 80.0,
                   seeds: Tensor | None = None) -> Tensor:
    """``log p_low(x)`` in nats, ``(*B,)``, of clean states ``x (*B, d)`` in the prior's unit-scale numbers.

    Heun's method: the error falls with ``steps^2``. The divergence is exact up to 256 numbers, at a backward pass each;
    of larger states it is Hutchinson's estimate, unbiased, with one random direction a state.

    Arguments:
        energy: of which the score is asked; it must be that of a density (no guidance, no composition).
        steps: from ``low`` to ``high``, two evaluations each.
        low, high: noise levels; at ``high`` the density is taken as ``N(mean, high^2)``.
        seeds: ``(*B,)``, one stream a state for those directions.
    """
    levels = karras(steps, low, high, dtype=torch.float64).flip(0).tolist()
    rows = x.detach().reshape(-1, x.shape[-1])
    probe = None
    if rows.shape[1] > LARGEST:
        noise = Streams.fresh(len(rows)) if seeds is None else Streams(torch.as_tensor(seeds).reshape(-1).cpu())
        probe = noise.normal(rows.shape[1], rows.dtype).sign().to(rows)
    lost = rows.new_zeros(len(rows))
    for a, b in zip(levels, levels[1:]):
        first, slope = _flow(energy, rows, a, probe)
        second, other = _flow(energy, rows + (b - a) * first, b, probe)
        rows = rows + (b - a) / 2 * (first + second)
        lost = lost + math.log(b / a) / 2 * (a * slope + b * other)  # smooth in log sigma: from 0 to d
    with torch.no_grad():
        center = energy.mean(torch.zeros_like(rows[:1]), high)
    spread = rows.shape[1] / 2 * math.log(2 * math.pi * high**2)
    return (-(rows - center).square().sum(-1) / (2 * high**2) - spread + lost).reshape(x.shape[:-1])


def _flow(energy: Energy, x: Tensor, sigma: float, probe: Tensor | None) -> tuple[Tensor, Tensor]:
    """The flow's velocity ``(N, d)`` and its divergence ``(N,)``."""
    with torch.enable_grad():
        y = x.detach().requires_grad_()
        velocity = -sigma * energy.score(y, sigma)
        if probe is not None:
            (pulled,) = torch.autograd.grad((velocity * probe).sum(), y)
            return velocity.detach(), (pulled * probe).sum(-1)
        columns = [torch.autograd.grad(velocity[:, i].sum(), y, retain_graph=True)[0][:, i] for i in range(x.shape[1])]
    return velocity.detach(), torch.stack(columns, -1).sum(-1)
