r"""Linear measurements of the clean state, integrated over what the prior leaves open: moment matching.

Given ``x_sigma`` the clean state is taken as Gaussian with Tweedie's mean and covariance ``sigma^2 J``, where ``J`` is
the mean's Jacobian. A measurement ``y = A x_0 + noise`` then conditions it in closed form, by a linear system of as
many unknowns as measurements::

    (noise^2 + sigma^2 A J A^T) z = y - A mean

Its condition number is that of the signal over the noise, squared: a million for 0.1 % noise. The prior's own Gaussian
knows most of it, ``J_G = C (C + sigma^2)^{-1}``, so that in coordinates ``L^T z`` with
``L L^T = noise^2 + sigma^2 A J_G A^T`` the system is nearly the identity: exactly so for a Gaussian prior, which takes
one iteration.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .calls import Plan
from .energy import Energy, Evaluation, level, score_only
from .exact import Gaussian
from .linear import Linear, Map, conjugate_gradients, linearised
from .noise import Noise

__all__ = ["Moments"]


class Moments(Energy):
    r"""``prior`` given the linear measurement ``y = A x_0 + noise``, with the posterior's covariance accounted for.

    ``score = s + J^T A^T (noise^2 + sigma^2 A J A^T)^{-1} (y - A mean)`` with ``J = d mean / d x``: exact for a
    Gaussian prior at every sigma. Conjugate gradients on vector-Jacobian products of the prior: its network is called
    once a score, its backward pass up to ``iterations + 1`` times. The score has no graph: TypeError if a gradient is
    wanted through it.

    "Learning Diffusion Priors from Observations by Expectation Maximization" (Rozet et al., 2024),
    https://arxiv.org/abs/2405.13712

    Arguments:
        A: matrix ``(m, d)``, or a function ``(*B, d) -> (*B, m)`` that is linear up to a constant; any other one is
            linearised at Tweedie's mean.
        y: ``(m,)`` or ``(*B, m)``.
        noise: standard deviation, a number or ``(m,)``.
        iterations: of the conjugate gradients. None at all needs ``around``, takes ``J = J_G`` everywhere and makes no
            backward pass.
        floor: a learned ``J`` need not be positive. Along a direction of the measurement in which it is below this
            share of the Gaussian's, the solution goes no further.
        around: the Gaussian that preconditions, usually the prior's (:meth:`Energy.gaussian`); a unit Gaussian, which
            needs no matrix, if None. Costs ``m^2 d`` operations a noise level, whatever the number of rows, in float64.
        groups: ``{name: how many}``, the readings by name, in order: of each the root mean square of the misfit, in
            units of the noise, is told; all of them as ``misfit`` by default.
    """

    exact = False

    def __init__(self, prior: Energy, A: Tensor | Map, y: Tensor, noise: float | Tensor, iterations: int = 20,
                 floor: float = 0.01, around: Gaussian | None = None,
                 groups: Mapping[str, int] | None = None) -> None:
        super().__init__()
        if iterations < 0 or (around is None and iterations == 0):
            raise ValueError(f"got {iterations} iterations and around={around!r}; expected one or more, or none with a "
                             "Gaussian to take the covariance from")
        if not bool((torch.as_tensor(noise) > 0).all()):
            raise ValueError(f"got noise {noise}; expected positive numbers: for exact data, what can be resolved of "
                             "them, as 1e-4 of their spread")
        self.prior, self.iterations, self.floor, self.around = prior, iterations, floor, around
        self.measure = (lambda x: x @ A.to(x).mT) if isinstance(A, Tensor) else A
        self.register_buffer("y", torch.as_tensor(y), persistent=False)
        self.register_buffer("noise", torch.as_tensor(noise, dtype=torch.float64), persistent=False)
        self.groups = dict(groups or {"misfit": self.y.shape[-1]})
        self.factor: tuple[Tensor, Tensor] | None = None  # levels, and the inverse Cholesky factor at each
        if around is not None:
            matrix = A.to(around.center) if isinstance(A, Tensor) else linearised(A, around.center)[0]
            modes, variances = compressed(around.modes(matrix), around.variances)
            size = matrix.norm(dim=-1) * around.variances.mean().sqrt()
            for name, value in (("matrix", matrix), ("modes", modes), ("variances", variances), ("size", size)):
                self.register_buffer(name, value, persistent=False)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        raise score_only(self)

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        if self.iterations:
            return Plan((), lambda _: self._iterated(x, sigma))

        def closed(found: Evaluation) -> Evaluation:
            gap = self.misfit(x + sigma**2 * found.score)
            return Evaluation(None, found.score + self._closed(gap, sigma), {**found.told, **self.told(gap)})

        return self.prior.plan(x, sigma).then(closed)

    def _iterated(self, x: Tensor, sigma: Tensor) -> Evaluation:
        if torch.is_grad_enabled() and x.requires_grad:
            raise TypeError("got a state whose gradient is wanted through the score of Moments, which has none; put "
                            "Moments outermost, Moments(Tweedie(prior, f), A, y, noise), or use backprop=False")
        with torch.enable_grad():
            v = x.detach().requires_grad_()
            found = self.prior.evaluate(v, sigma)
            mean = v + sigma**2 * found.score
        near = Linear(self.measure, mean)
        gap = self.misfit(mean.detach(), near.value)
        push = self._solve(near, gap, sigma, lambda z: torch.autograd.grad(mean, v, z, retain_graph=True)[0])
        told = {k: t.detach() for k, t in found.told.items()}
        return Evaluation(None, ((mean - x) / sigma**2).detach() + push, {**told, **self.told(gap)})

    def misfit(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """``y - A x (*B, m)``."""
        return self.y.to(x) - (self.measure(x) if seen is None else seen)

    def told(self, gap: Tensor) -> dict[str, Tensor]:
        """Of each group of readings the root mean square of ``gap (*B, m)``, in units of the noise, ``(*B,)``."""
        pieces = (gap / self.noise.to(gap)).detach().split(list(self.groups.values()), -1)
        return {name: piece.square().mean(-1).sqrt() for name, piece in zip(self.groups, pieces)}

    def draw(self, x: Tensor, sigma: Tensor | float, noise: Noise, steps: int = 1) -> Tensor:
        r"""Clean states ``(*B, d)`` given ``x (*B, d)`` at level ``sigma`` and the data; exact for a Gaussian prior.

        A state ``u`` from the prior's Gaussian around Tweedie's mean, of covariance ``S = sigma^2 J_G``, is brought to
        the data with fresh noise, ``u + S A^T (noise^2 + A S A^T)^{-1} (y + noise e - A u)``: what the data leave open
        stays as it is, what they fix is spread as widely as they allow. A measurement that is not linear takes several
        ``steps`` (Gauss and Newton's). "Efficiently sampling functions from Gaussian process posteriors" (Wilson et
        al., 2020), https://arxiv.org/abs/2002.09309
        """
        sigma = level(sigma, x)
        with torch.no_grad():
            mean = self.prior.mean(x, sigma)
            start = mean + sigma * self._gaussian(noise.normal(x.shape[-1], x.dtype), sigma, 0.5)
            target = self.y.to(x) + self.noise.to(x) * noise.at(noise.step, noise.stream + 1).normal(
                self.y.shape[-1], x.dtype)
            u = start
            for _ in range(steps):
                near = Linear(self.measure, u)
                gap = target - near.value - near.push(start - u)
                u = start + sigma**2 * self._solve(near, gap, sigma, lambda z: self._gaussian(z, sigma))
        return u

    def _solve(self, near: Linear, gap: Tensor, sigma: Tensor, jacobian: Map) -> Tensor:
        """``J A^T (noise^2 + sigma^2 A J A^T)^{-1} gap`` by conjugate gradients in whitened coordinates."""
        white, colour = self._whitening(gap, sigma)
        noise = self._resolved(gap)

        def system(w: Tensor) -> tuple[Tensor, Tensor]:
            z = colour(w)
            back = near.pull(z)
            own = ((noise * z) ** 2).sum(-1, keepdim=True)
            rest = (w**2).sum(-1, keepdim=True) - own if self.around is not None else (
                sigma**2 / (1 + sigma**2) * (back**2).sum(-1, keepdim=True))  # a unit Gaussian's curvature
            return white(noise**2 * z + sigma**2 * near.push(jacobian(back))), own + self.floor * rest

        w = conjugate_gradients(system, white(gap), max(self.iterations, 1), self.around is not None)
        return jacobian(near.pull(colour(w)))

    def _closed(self, gap: Tensor, sigma: Tensor) -> Tensor:
        white, colour = self._whitening(gap, sigma)
        return self._gaussian(colour(white(gap)) @ self.matrix.to(gap), sigma)

    def _gaussian(self, v: Tensor, sigma: Tensor, power: float = 1.0) -> Tensor:
        around, variances = self.around, self.around.variances
        modes = around.modes(v.to(around.center))
        return around.back(modes * (variances / (variances + sigma.to(modes) ** 2)) ** power).to(v)

    def _whitening(self, x: Tensor, sigma: Tensor) -> tuple[Map, Map]:
        """``L^{-1} z`` and ``L^{-T} z``: to and from the coordinates in which the Gaussian's system is the identity."""
        noise = self._resolved(x)
        if self.around is None:
            return (lambda z: z / noise), (lambda z: z / noise)
        levels, which = torch.unique(sigma, return_inverse=True)
        known = None if self.factor is None else self.factor[0]
        if known is None or (known.dtype, known.device) != (levels.dtype, levels.device) or not known.equal(levels):
            self.factor = levels, torch.stack([self._factor(level, noise.double()) for level in levels.double()])
        inverse = self.factor[1].to(x)[which]
        inverse = inverse.squeeze(-3) if sigma.ndim else inverse
        return (lambda z: (inverse @ z[..., None])[..., 0]), (lambda z: (z[..., None, :] @ inverse)[..., 0, :])

    def _resolved(self, x: Tensor) -> Tensor:
        """The noise, and with a Gaussian what numbers of this precision tell apart when squared."""
        noise = self.noise.to(x)
        return noise if self.around is None else torch.hypot(noise, torch.finfo(x.dtype).eps ** 0.5 * self.size.to(x))

    def _factor(self, sigma: Tensor, noise: Tensor) -> Tensor:
        # In double precision: its condition number may be a million, and the square of single precision's is not.
        variances = self.variances.double()
        root = self.modes.double() * (sigma**2 * variances / (variances + sigma**2)).sqrt()
        system = root @ root.mT
        system.diagonal().add_(noise**2)
        lower = torch.linalg.cholesky(system)
        return torch.linalg.solve_triangular(lower, torch.eye(len(lower)).to(lower), upper=False)


def compressed(modes: Tensor, variances: Tensor) -> tuple[Tensor, Tensor]:
    """``M (m, r), v (r,)`` with the same ``M f(v) M^T``: no more than ``m`` columns share the last variance."""
    variances = variances.expand(modes.shape[-1]).clone()
    same = variances == variances[-1]
    if same.sum() <= len(modes):
        return modes, variances
    shared = torch.linalg.qr(modes[:, same].mT, mode="r").R.mT
    return torch.cat([modes[:, ~same], shared], -1), torch.cat([variances[~same], variances[-1:].expand(len(modes))])

