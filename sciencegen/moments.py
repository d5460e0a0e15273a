r"""Linear measurements of the clean state, integrated over what the prior leaves open: moment matching (MMPS).

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

import abc
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from .calls import Plan
from .energy import Energy, Evaluation, level, score_only
from .exact import Gaussian
from .linear import Dense, Linear, Local, Map, Whitening, conjugate_gradients
from .linear.gram import Mixed, Scaled
from .linear.maps import Near
from .random import Streams
from .values import finite

__all__ = ["Closed", "Iterated", "Moments"]

Measure = Map | Tensor | Callable[[Tensor], Tensor]


def Moments(prior: Energy, A: Measure, y: Tensor, noise: float | Tensor, iterations: int = 20, floor: float = 0.01,
            around: Gaussian | None = None, groups: Mapping[str, int] | None = None) -> Closed | Iterated:
    r"""``prior`` given the linear measurement ``y = A x_0 + noise``, with the posterior's covariance accounted for.

    ``score = s + J^T A^T (noise^2 + sigma^2 A J A^T)^{-1} (y - A mean)`` with ``J = d mean / d x``: exact for a
    Gaussian prior at every sigma. :class:`Closed` without iterations, else :class:`Iterated`.

    "Learning Diffusion Priors from Observations by Expectation Maximization" (Rozet et al., 2024),
    https://arxiv.org/abs/2405.13712

    Arguments:
        A: a map of :mod:`sciencegen.linear`, a matrix ``(m, d)``, or a function ``(*B, d) -> (*B, m)``, which is
            linearised at Tweedie's mean.
        y: ``(m,)`` or ``(*B, m)``.
        noise: standard deviation, a number or ``(m,)``.
        iterations: of the conjugate gradients. None at all needs ``around``, takes ``J = J_G`` everywhere and makes no
            backward pass.
        floor: a learned ``J`` need not be positive. Along a direction of the measurement in which it is below this
            share of the Gaussian's, the solution goes no further.
        around: the Gaussian that preconditions, usually the prior's (:meth:`Energy.gaussian`); a unit Gaussian, which
            needs no matrix, if None.
        groups: ``{name: how many}``, the readings by name, in order: of each the root mean square of the misfit, in
            units of the noise, is told; all of them as ``misfit`` by default.
    """
    if iterations < 0 or (around is None and iterations == 0):
        raise ValueError(f"got {iterations} iterations and around={around!r}; expected one or more, or none with a "
                         "Gaussian to take the covariance from")
    if iterations:
        return Iterated(prior, A, y, noise, around, groups, iterations, floor)
    return Closed(prior, A, y, noise, around, groups)


class Conditioned(Energy):
    """What Closed and Iterated share: the measurement, its whitening by the Gaussian, and the posterior's draw."""

    exact = False

    def __init__(self, prior: Energy, A: Measure, y: Tensor, noise: float | Tensor, around: Gaussian | None,
                 groups: Mapping[str, int] | None) -> None:
        super().__init__()
        if not bool((torch.as_tensor(noise) > 0).all()):
            raise ValueError(f"got noise {noise}; expected positive numbers: for exact data, what can be resolved of "
                             "them, as 1e-4 of their spread")
        self.prior, self.around, self.whitenings = prior, around, {}
        self.register_buffer("y", finite("y", y), persistent=False)
        self.register_buffer("noise", torch.as_tensor(noise, dtype=torch.float64), persistent=False)
        self.groups = dict(groups or {"misfit": self.y.shape[-1]})
        self.measure = A if isinstance(A, Map) else Dense(A) if isinstance(A, Tensor) else Local(A)
        if around is not None:
            self.gram = self.measure.gram(around)
            size = self.measure.norms(around).to(around.center) * around.variances.mean().sqrt()
            self.register_buffer("size", size, persistent=False)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        raise score_only(self)

    def misfit(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """``y - A x (*B, m)``."""
        return self.y.to(x) - (self.measure(x) if seen is None else seen)

    def told(self, gap: Tensor) -> dict[str, Tensor]:
        """Of each group of readings the root mean square of ``gap (*B, m)``, in units of the noise, ``(*B,)``."""
        pieces = (gap / self.noise.to(gap)).detach().split(list(self.groups.values()), -1)
        return {name: piece.square().mean(-1).sqrt() for name, piece in zip(self.groups, pieces)}

    def draw(self, x: Tensor, sigma: Tensor | float, noise: Streams, steps: int = 1) -> Tensor:
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
            start = mean + sigma * self.smooth(noise.normal(x.shape[-1], x.dtype), sigma, 0.5)
            target = self.y.to(x) + self.noise.to(x) * noise.at(noise.step, noise.stream + 1).normal(
                self.y.shape[-1], x.dtype)
            u = start
            for _ in range(steps):
                near = self.measure.near(u)
                gap = target - near.value - near.push(start - u)
                u = start + sigma**2 * self.correction(near, gap, sigma)
        return u

    @abc.abstractmethod
    def correction(self, near: Near | Linear, gap: Tensor, sigma: Tensor) -> Tensor:
        """``J_G A^T (noise^2 + sigma^2 A J_G A^T)^{-1} gap``, with the Gaussian's own Jacobian."""

    def smooth(self, v: Tensor, sigma: Tensor, power: float = 1.0) -> Tensor:
        """``J_G^power v``."""
        around, variances = self.around, self.around.variances
        modes = around.modes(v.to(around.center))
        return around.back(modes * (variances / (variances + sigma.to(modes) ** 2)) ** power).to(v)

    def whitening(self, x: Tensor, sigma: Tensor) -> Whitening:
        """The factor of what the Gaussian expects of the measurement, at the level or levels of the rows of ``x``."""
        noise = self.resolved(x)
        if self.around is None:
            return Scaled(noise.expand(x.shape[-1]))
        levels, which = torch.unique(sigma, return_inverse=True)
        keys = [(value, x.dtype, x.device) for value in levels.tolist()]
        if any(key not in self.whitenings for key in keys):
            wide = noise.double().expand(self.y.shape[-1])
            self.whitenings = {key: self.gram.whitening(key[0], wide) for key in keys}
        each = tuple(self.whitenings[key] for key in keys)
        return Mixed(each, which.squeeze(-1)) if sigma.ndim else each[0]

    def resolved(self, x: Tensor) -> Tensor:
        """The noise, and with a Gaussian what numbers of this precision tell apart when squared."""
        noise = self.noise.to(x)
        return noise if self.around is None else torch.hypot(noise, torch.finfo(x.dtype).eps ** 0.5 * self.size.to(x))


class Closed(Conditioned):
    """Moment matching with the Gaussian's Jacobian: a score costs the prior's, and no backward pass.

    Exact for a Gaussian prior; steadier than a network's own Jacobian where the prior is near its Gaussian.
    """

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        def conditioned(found: Evaluation) -> Evaluation:
            mean = x + sigma**2 * found.score
            gap = self.misfit(mean)
            return Evaluation(None, found.score + self.correction(self.measure.near(mean), gap, sigma),
                              {**found.told, **self.told(gap)})

        return self.prior.plan(x, sigma).then(conditioned)

    def correction(self, near: Near | Linear, gap: Tensor, sigma: Tensor) -> Tensor:
        factor = self.whitening(gap, sigma)
        return self.smooth(near.pull(factor.colour(factor.white(gap))), sigma)


class Iterated(Conditioned):
    """Moment matching with the prior's own Jacobian, by conjugate gradients on its vector-Jacobian products.

    The network is called once a score, its backward pass up to ``iterations + 1`` times. The score has no graph:
    TypeError if a gradient is wanted through it.
    """

    def __init__(self, prior: Energy, A: Measure, y: Tensor, noise: float | Tensor, around: Gaussian | None,
                 groups: Mapping[str, int] | None, iterations: int, floor: float) -> None:
        super().__init__(prior, A, y, noise, around, groups)
        self.iterations, self.floor = iterations, floor

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        return Plan((), lambda _: self._solved(x, sigma))

    def _solved(self, x: Tensor, sigma: Tensor) -> Evaluation:
        if torch.is_grad_enabled() and x.requires_grad:
            raise TypeError("got a state whose gradient is wanted through the score of Moments, which has none; put "
                            "Moments outermost, Moments(Tweedie(prior, f), A, y, noise), or use backprop=False")
        with torch.enable_grad():
            v = x.detach().requires_grad_()
            found = self.prior.evaluate(v, sigma)
            mean = v + sigma**2 * found.score
        near = self.measure.near(mean.detach())
        gap = self.misfit(mean.detach(), near.value)
        push = self._solve(near, gap, sigma, lambda z: torch.autograd.grad(mean, v, z, retain_graph=True)[0])
        told = {k: t.detach() for k, t in found.told.items()}
        return Evaluation(None, ((mean - x) / sigma**2).detach() + push, {**told, **self.told(gap)})

    def correction(self, near: Near | Linear, gap: Tensor, sigma: Tensor) -> Tensor:
        return self._solve(near, gap, sigma, lambda z: self.smooth(z, sigma))

    def _solve(self, near: Near | Linear, gap: Tensor, sigma: Tensor, jacobian: Callable[[Tensor], Tensor]) -> Tensor:
        """``J A^T (noise^2 + sigma^2 A J A^T)^{-1} gap`` by conjugate gradients in whitened coordinates."""
        factor, noise = self.whitening(gap, sigma), self.resolved(gap)

        def system(w: Tensor) -> tuple[Tensor, Tensor]:
            z = factor.colour(w)
            back = near.pull(z)
            own = ((noise * z) ** 2).sum(-1, keepdim=True)
            rest = (w**2).sum(-1, keepdim=True) - own if self.around is not None else (
                sigma**2 / (1 + sigma**2) * (back**2).sum(-1, keepdim=True))  # a unit Gaussian's curvature
            return factor.white(noise**2 * z + sigma**2 * near.push(jacobian(back))), own + self.floor * rest

        w = conjugate_gradients(system, factor.white(gap), self.iterations, self.around is not None)
        return jacobian(near.pull(factor.colour(w)))
