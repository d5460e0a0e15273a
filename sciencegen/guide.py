r"""Clean-state terms lifted to a noise level: objectives, laws and measurements that guide a prior.

A term ``f`` that is meant for the clean state has to act on ``x_sigma``. Three lifts, each an :class:`Energy` again:
:class:`Tweedie` evaluates it at the posterior mean (exact where prior and term are, so that Metropolis-corrected
sampling makes it right), :class:`Moments` integrates a linear measurement over the posterior's covariance (right for a
Gaussian without any correction), :class:`Projected` imposes a hard constraint on the mean.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .calls import Plan
from .energy import Energy, Evaluation, Potential, require_rows, score_only
from .moments import Moments
from .values import finite

__all__ = ["Moments", "Projected", "Tweedie", "dps"]


class Tweedie(Energy):
    r"""``prior(x, sigma) + potential(mean(x), sigma / sqrt(1 + sigma^2))``: a term taken at Tweedie's mean.

    With ``backprop`` the gradient goes through the prior (one forward and one backward pass of its network a score);
    without, the mean's Jacobian is taken as ``1 / (1 + sigma^2)``, a unit Gaussian's, and only a score is left.

    "Diffusion Posterior Sampling for General Noisy Inverse Problems" (Chung et al., 2023),
    https://arxiv.org/abs/2209.14687
    """

    def __init__(self, prior: Energy, potential: Energy, backprop: bool = True) -> None:
        super().__init__()
        if not potential.exact:
            raise score_only(potential)
        self.prior, self.potential, self.backprop = prior, potential, backprop
        self.exact, self.exact_from = backprop and prior.exact, max(prior.exact_from, potential.exact_from)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        if not self.exact:
            raise score_only(self)
        return self.evaluate(x, sigma).value

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        return Plan((), lambda _: self._guided(x, sigma))

    def _guided(self, x: Tensor, sigma: Tensor) -> Evaluation:
        graph = torch.is_grad_enabled()
        with torch.set_grad_enabled(graph or self.backprop):
            y = x if graph and x.requires_grad else x.detach().requires_grad_(self.backprop)
            value, score, told = self.prior.evaluate(y, sigma)
            mean = y + sigma**2 * score
        with torch.enable_grad():
            clean = mean if mean.requires_grad else mean.detach().requires_grad_()
            extra, more = self.potential.tell(clean, sigma / (1 + sigma**2).sqrt())
            require_rows(extra, x, self.potential)
            (pull,) = torch.autograd.grad(extra.sum(), y if self.backprop else clean, create_graph=graph,
                                          materialize_grads=True)
        score = score - (pull if self.backprop else pull / (1 + sigma**2))
        found = Evaluation(value + extra if self.exact else None, score, {**told, **more})
        return found if graph else found.detached()

    def takes(self, rows: Tensor) -> bool:
        return self.prior.takes(rows) and self.potential.takes(rows)

    def __repr__(self) -> str:
        return f"Tweedie({self.prior!r}, {self.potential!r})"


class Projected(Energy):
    """``prior`` whose Tweedie mean is projected onto a constraint, ``project(x) -> x``.

    The constraint holds to rounding at the end of a sampler's grid that ends at zero. Only a score is left. A
    projection shifts what is coupled to it (a pinned coordinate's neighbours by a third to a half of their spread): for
    measurements use :class:`Moments` or a residual, and keep this for algebraic constraints.
    """

    exact = False

    def __init__(self, prior: Energy, project: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.prior, self.project = prior, project

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        raise score_only(self)

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        moved = lambda e: Evaluation(None, (self.project(x + sigma**2 * e.score) - x) / sigma**2, e.told)
        return self.prior.plan(x, sigma).then(moved)

    def __repr__(self) -> str:
        return f"Projected({self.prior!r}, {self.project!r})"


def dps(prior: Energy, A: Tensor | Callable[[Tensor], Tensor], y: Tensor, zeta: float | Callable[[Tensor], Tensor],
        squared: bool = False) -> Energy:
    r"""``Tweedie(prior, zeta |y - A x|)``: guidance by one scalar, the field's baseline; for work use :class:`Moments`.

    The norm is "DiffusionPDE: Generative PDE-Solving Under Partial Observation" (Huang et al., 2024),
    https://arxiv.org/abs/2406.17763, and ``|y - A x|^2`` (``squared``) is what most others take. ``zeta`` is a number
    or a function of Tweedie's level ``t = sigma / sqrt(1 + sigma^2)``, hence ``sigma^2 = t^2 / (1 - t^2)``: a step of
    the flow from ``a`` to ``b`` moves by ``zeta a (a - b)`` times the gradient, so that ``w`` times the gradient at
    each step, as published, is ``zeta = w / a (a - b)``.

    Arguments:
        A: matrix ``(m, d)``, or a function ``(*B, d) -> (*B, m)``.
        y: ``(m,)`` or ``(*B, m)``; ValueError unless finite, and of as many numbers as are measured.
    """
    y = finite("y", y)
    measure = (lambda x: x @ A.to(x).mT) if isinstance(A, Tensor) else A

    def distance(x: Tensor) -> Tensor:
        seen = measure(x)
        if seen.shape[-1:] != y.shape[-1:]:
            raise ValueError(f"got {y.shape[-1:]} data for measurements of shape {tuple(seen.shape)}; expected as many")
        square = ((y.to(x) - seen) ** 2).sum(-1)
        return square if squared else (square + torch.finfo(x.dtype).tiny).sqrt()

    return Tweedie(prior, zeta * Potential(distance))
