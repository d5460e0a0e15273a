r"""Two materials as a level set: the law of the Gaussian field whose sign a rock is, learned from rocks in closed form.

Let :math:`\varphi \sim N(m, R)` with unit variances, and let a cell be of the second material where
:math:`\varphi \ge 0`. The scale of a field does not change its sign, so that this is all that can be learned. One cell
is of it with :math:`p_i = \Phi(m_i)`, two cells with

.. math:: p_{ij} = \Phi_2(m_i, m_j; R_{ij}) = \Phi(m_i) \Phi(m_j) + \frac{1}{2 \pi} \int_0^{\arcsin R_{ij}}
    \exp\Big( -\frac{m_i^2 + m_j^2 - 2 m_i m_j \sin t}{2 \cos^2 t} \Big) dt .

So the shares and two-point shares of the rocks give the field's mean and correlation, one pair of cells after the
other, whether the field is stationary or not. At :math:`m = 0` it is the arcsine law,
:math:`R_{ij} = \sin 2 \pi (p_{ij} - 1/4)`. What is found that way has noise, and need not be positive: each half of the
rocks says the variance along the axes that the other half has found, and what is not positive is left out.

References:
    The integral: "A Reduction Formula for Normal Multivariate Integrals" (Plackett, 1954),
    https://doi.org/10.1093/biomet/41.3-4.351. The shrinkage: "Nonparametric Eigenvalue-Regularized Precision or
    Covariance Matrix Estimator" (Lam, 2016), https://doi.org/10.1214/15-AOS1393.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ...exact import Gaussian

__all__ = ["learned", "tetrachoric"]

NODES, ROUNDS = 24, 40  # of the integral, and of Newton's method, held between bounds by bisection
CLOSE, LEAST = 1e-9, 1e-9
TINY = 1e-10  # variance beyond the axes


def learned(inside: Tensor, orders: Tensor, rank: int) -> Gaussian:
    """The Gaussian of the level ``(d,)`` whose sign says where rocks ``inside (N, d)`` are of the second material.

    Arguments:
        inside: one where a cell is of it, else zero; two rocks or more.
        orders: orders ``(m, d)`` of the cells in which a rock is as likely, the first of them none.
        rank: axes that are kept, the leading ones.
    """
    halves = [inside[0::2].float(), inside[1::2].float()]
    share = inside.float().mean(0)[orders].mean(0).double()
    least = 0.5 / len(inside)
    mean = torch.special.ndtri(share.clamp(least, 1 - least))
    correlations = [tetrachoric(mean, _pairs(half, orders)) for half in halves]
    cov = sum(_shrunk(*two) for two in (correlations, correlations[::-1])) / 2
    unit = cov.diagonal().clamp_min(TINY).rsqrt()
    variances, axes = torch.linalg.eigh(unit[:, None] * cov * unit)
    kept = variances[-rank:].clamp_min(TINY)
    return Gaussian(mean, torch.cat([kept, kept.new_tensor([TINY])]), axes[:, -rank:].contiguous())


def tetrachoric(mean: Tensor, both: Tensor) -> Tensor:
    """The correlations ``(d, d)`` with which normal numbers of these means are ``both (d, d)`` above zero so often."""
    nodes, weights = (torch.from_numpy(v) for v in np.polynomial.legendre.leggauss(NODES))
    one, other = mean[:, None], mean[None, :]
    squares, product = one**2 + other**2, one * other
    chance = torch.special.ndtr(mean)
    wanted = 2 * math.pi * (both.to(mean) - chance[:, None] * chance)

    def density(angle: Tensor) -> Tensor:
        return torch.exp(-(squares - 2 * product * angle.sin()) / (2 * angle.cos() ** 2))

    angle, low = torch.zeros_like(wanted), torch.full_like(wanted, 1e-6 - math.pi / 2)
    high = -low
    for _ in range(ROUNDS):
        found = sum(w * density(angle * (1 + x) / 2) for x, w in zip(nodes, weights)) * angle / 2
        low, high = torch.where(found < wanted, angle, low), torch.where(found > wanted, angle, high)
        new = angle + (wanted - found) / density(angle).clamp_min(LEAST)
        new = torch.where((new < low) | (new > high), (low + high) / 2, new)
        moved, angle = float((new - angle).abs().max()), new
        if moved < CLOSE:
            break
    return angle.sin().fill_diagonal_(1)


def _pairs(inside: Tensor, orders: Tensor) -> Tensor:
    """How often two cells are both of the second material, ``(d, d)``, over all orders."""
    both = (inside.mT @ inside / len(inside)).double()
    return sum(both[order][:, order] for order in orders) / len(orders)


def _shrunk(one: Tensor, other: Tensor) -> Tensor:
    """The axes of ``one`` with their variances in ``other``, none below zero."""
    axes = torch.linalg.eigh(one).eigenvectors
    variances = ((other @ axes) * axes).sum(0)
    return (axes * variances.clamp_min(0)) @ axes.mT
