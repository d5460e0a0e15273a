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

from .calls import Asking
from .energy import Energy, require_rows, score_only

__all__ = ["Moments", "Projected", "Tweedie"]


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
        self.exact = backprop and prior.exact

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        if not self.exact:
            raise score_only(self)
        return self.evaluate(x, sigma)[0]

    def ask(self, x: Tensor, sigma: Tensor) -> Asking:
        yield []
        graph = torch.is_grad_enabled()
        with torch.set_grad_enabled(graph or self.backprop):
            y = x if graph and x.requires_grad else x.detach().requires_grad_(self.backprop)
            value, score = self.prior.evaluate(y, sigma)
            mean = y + sigma**2 * score
        with torch.enable_grad():
            clean = mean if mean.requires_grad else mean.detach().requires_grad_()
            extra = self.potential(clean, sigma / (1 + sigma**2).sqrt())
            require_rows(extra, x, self.potential)
            (pull,) = torch.autograd.grad(extra.sum(), y if self.backprop else clean, create_graph=graph,
                                          materialize_grads=True)
        score = score - (pull if self.backprop else pull / (1 + sigma**2))
        value = value + extra if self.exact else None
        return (value, score) if graph else (None if value is None else value.detach(), score.detach())

    def __repr__(self) -> str:
        return f"Tweedie({self.prior!r}, {self.potential!r})"


class Moments(Energy):
    r"""``prior`` given the linear measurement ``y = A x_0 + noise``, with the posterior's covariance accounted for.

    ``score = s + J^T A^T (noise^2 + sigma^2 A J A^T)^{-1} (y - A mean)`` with ``J = d mean / d x``: exact for a
    Gaussian prior at every sigma. Matrix-free: conjugate gradients on vector-Jacobian products of the prior, at most
    ``iterations`` of them. The prior's network is called once a score and its backward pass up to ``iterations + 1``
    times. The score has no graph: TypeError if a gradient is wanted through it.

    "Learning Diffusion Priors from Observations by Expectation Maximization" (Rozet et al., 2024),
    https://arxiv.org/abs/2405.13712

    Arguments:
        A: matrix ``(m, d)``, or a function ``(*B, d) -> (*B, m)`` that is linear up to a constant.
        y: ``(m,)`` or ``(*B, m)``.
        noise: standard deviation, a number or ``(m,)``.
        iterations: of the conjugate gradients.
        floor: a learned ``J`` need not be positive. Along a direction of the measurement in which it is below
            ``floor / (1 + sigma^2)``, this share of a unit Gaussian's, the solution goes no further.
    """

    exact = False

    def __init__(self, prior: Energy, A: Tensor | Callable[[Tensor], Tensor], y: Tensor, noise: float | Tensor,
                 iterations: int = 20, floor: float = 0.01) -> None:
        super().__init__()
        self.prior, self.iterations, self.floor = prior, iterations, floor
        self.measure = (lambda x: x @ A.to(x).mT) if isinstance(A, Tensor) else A
        self.register_buffer("y", torch.as_tensor(y), persistent=False)
        self.register_buffer("noise", torch.as_tensor(noise, dtype=torch.float64), persistent=False)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        raise score_only(self)

    def ask(self, x: Tensor, sigma: Tensor) -> Asking:
        yield []
        if torch.is_grad_enabled() and x.requires_grad:
            raise TypeError("got a state whose gradient is wanted through the score of Moments, which has none; put "
                            "Moments outermost, Moments(Tweedie(prior, f), A, y, noise), or use backprop=False")
        with torch.enable_grad():
            v = x.detach().requires_grad_()
            mean = self.prior.mean(v, sigma)
            origin = torch.zeros_like(v).requires_grad_()
            seen = self.measure(origin)
        offset, noise, trust = seen.detach(), self.noise.to(x), self.floor * sigma**2 / (1 + sigma**2)

        def back(z: Tensor) -> Tensor:  # A^T z, of z in units of the noise
            return torch.autograd.grad(seen, origin, z / noise, retain_graph=True)[0]

        def pull(z: Tensor) -> Tensor:  # J^T A^T z
            return torch.autograd.grad(mean, v, back(z), retain_graph=True)[0]

        def system(z: Tensor) -> tuple[Tensor, Tensor]:
            least = (z**2).sum(-1, keepdim=True) + trust * (back(z) ** 2).sum(-1, keepdim=True)
            return z + sigma**2 * (self.measure(pull(z)) - offset) / noise, least

        misfit = (self.y.to(x) - self.measure(mean.detach())) / noise
        push = pull(conjugate_gradients(system, misfit, self.iterations))
        return None, ((mean - x) / sigma**2).detach() + push


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

    def ask(self, x: Tensor, sigma: Tensor) -> Asking:
        _, score = yield from self.prior.ask(x, sigma)
        return None, (self.project(x + sigma**2 * score) - x) / sigma**2

    def __repr__(self) -> str:
        return f"Projected({self.prior!r}, {self.project!r})"


def conjugate_gradients(system: Callable[[Tensor], tuple[Tensor, Tensor]], right: Tensor, iterations: int) -> Tensor:
    """Solve ``system(z)[0] = right`` row by row, ``(*B, m)``, by a set number of iterations; rows stay independent.

    ``system(z)[1] (*B, 1)`` is the least curvature along ``z`` that is believed; a row stops where it is less.
    "The Conjugate Gradient Method and Trust Regions in Large Scale Optimization" (Steihaug, 1983),
    https://doi.org/10.1137/0720042
    """
    z, residual = torch.zeros_like(right), right
    direction, square = residual, (residual**2).sum(-1, keepdim=True)
    tiny = torch.finfo(right.dtype).tiny
    going = torch.ones_like(square, dtype=torch.bool)
    for _ in range(min(iterations, right.shape[-1] + 2)):
        image, least = system(direction)
        curvature = (direction * image).sum(-1, keepdim=True)
        going = going & (curvature >= least) & (curvature > tiny)
        size = torch.where(going, square / curvature, 0)
        z, residual = z + size * direction, residual - size * image
        fresh = (residual**2).sum(-1, keepdim=True)
        direction, square = residual + fresh / square.clamp_min(tiny) * direction, fresh
    return z
