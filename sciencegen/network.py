r"""Trained energies: a closed-form Gaussian plus a learned correction.

The Gaussian with the data's mean ``m`` and covariance ``C`` has an exact Tweedie mean at every noise level. A network
only learns what the data are beyond it, in coordinates where input and target have unit variance at every ``sigma``::

    u    = (C + sigma^2)^{-1/2} (x - m)                                         whitened input
    mean = Gaussian mean + sigma C^{1/2} (C + sigma^2)^{-1/2} F(u, sigma)       Denoiser: F is the network
    E    = Gaussian energy + g(u, sigma) / sigma                                EnergyNet: g is the network, a number

For ``C = 1`` this is the preconditioning of "Elucidating the Design Space of Diffusion-Based Generative Models"
(Karras et al., 2022), https://arxiv.org/abs/2206.00364. A network is called as ``net(u, c, keep)`` with ``u (N, n)``,
``c = log(sigma) / 4 (N, 1)`` and ``keep (N, n)``: ones where a coordinate is there, zeros where it was marginalised
out. So one network knows the joint energy and every marginal that it was trained with.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .calls import Answers, Call, Plan
from .energy import Energy, Evaluation, Information, level, score_only
from .exact import Gaussian
from .view import View, scatter

__all__ = ["Denoiser", "EnergyNet"]


class Preconditioned(Energy):
    """What Denoiser and EnergyNet share: the Gaussian part, the marginals, the loss.

    Arguments:
        net: ``(u (N, n), c (N, 1), keep (N, n)) -> (N, n)`` or, for an EnergyNet, ``(N,)``.
        data: Gaussian over the ``n`` coordinates; ``Gaussian(zeros, ones)`` gives EDM's preconditioning.
        marginals: index lists (or views) that the network is trained to know beside the joint.
        lowest: smallest noise level; below it the energy is the one at ``lowest``.
        kept: the coordinates that this energy is about; set by :meth:`marginal`.
    """

    def __init__(self, net: nn.Module, data: Gaussian, marginals: Sequence[View | Sequence[int]] = (),
                 lowest: float = 2e-3, kept: Sequence[int] | None = None) -> None:
        super().__init__()
        self.net, self.data, self.lowest = net, data, lowest
        self.marginals = [m.rows.tolist() if isinstance(m, View) else list(m) for m in marginals]
        every = torch.arange(data.center.numel(), device=data.center.device)
        kept = every if kept is None else torch.as_tensor(kept, device=every.device)
        part = View(kept, 0, every.numel(), "kept")
        self.whole = torch.equal(kept, every)
        self.base = data if self.whole else data.marginal(part)
        self.register_buffer("rows", kept, persistent=False)
        self.register_buffer("keep", part.adjoint(torch.ones_like(kept, dtype=data.center.dtype)), persistent=False)

    def marginal(self, view: View) -> Preconditioned:
        """The energy of ``view``'s coordinates alone, by the same network; ValueError if it was not trained for it."""
        if view.copies or view.rows.tolist() not in self.marginals:
            raise ValueError(f"got the marginal on '{view}'; expected one of the {len(self.marginals)} parts that this "
                             "network was trained to know (its argument marginals)")
        return type(self)(self.net, self.data, self.marginals, self.lowest, view.rows.tolist())

    def loss(self, clean: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
        """Denoising error ``(*B,)`` in units of the Gaussian's: ``|mean(clean + sigma noise) - clean|^2`` whitened.

        ``clean, noise (*B, n)`` with ``n`` the kept coordinates; one means no better than the Gaussian. A direction in
        which the data hardly vary, by less than ``lowest / 10``, counts less, and one in which they do not, not at all.
        """
        return self.plan_loss(clean, sigma, noise).run()

    def plan_loss(self, clean: Tensor, sigma: Tensor, noise: Tensor) -> Plan:
        """:meth:`loss` as a plan, so that joint and marginals share one network call."""
        sigma = level(sigma, clean).clamp_min(self.lowest)
        x = clean + sigma * noise

        def loss(found: Evaluation) -> Tensor:
            error = self.base.modes(x + sigma**2 * found.score - clean)
            spread = (self.base.variances / (self.base.variances + sigma**2)).sqrt() * sigma
            return (error / spread.clamp_min(self.lowest / 10)).square().sum(-1) / clean.shape[-1]

        return self.plan(x, sigma).then(loss)

    def gaussian(self) -> Gaussian:
        """The one that the network corrects."""
        return self.base

    def information(self) -> Information | None:
        return self.base.information()

    def _inputs(self, white: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        u, keep = self.base.back(white), self.keep
        c = (torch.log(sigma) / 4).expand(*u.shape[:-1], 1).reshape(-1, 1)
        u = (u if self.whole else scatter(u, self.rows, len(keep))).reshape(-1, len(keep))
        return u, c, keep.expand_as(u)

    def _outputs(self, out: Tensor, x: Tensor) -> Tensor:
        return self.base.modes((out if self.whole else out[:, self.rows]).reshape(x.shape))

    @abc.abstractmethod
    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        """Value (None for a Denoiser) and score by one call of the network."""


class Denoiser(Preconditioned):
    """A network that knows Tweedie's mean, hence the score; its energy is not known."""

    exact = False

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        raise score_only(self)

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        base, sigma = self.base, sigma.clamp_min(self.lowest)
        variances = base.variances
        scale = torch.addcmul(variances, sigma, sigma).rsqrt()
        white = base.modes(x - base.center) * scale

        def finish(answers: Answers) -> Evaluation:
            pull = torch.addcmul(white, self._outputs(answers[0][0], x), variances.sqrt() / sigma, value=-1)
            return Evaluation(None, base.back(pull * -scale))

        return Plan((Call(self.net, self._inputs(white, sigma)),), finish)


class EnergyNet(Preconditioned):
    """A network whose value is the energy: scalar, with the score as its exact gradient.

    Costs a backward pass more than a :class:`Denoiser`, and lets a Metropolis-adjusted kernel be used.
    """

    exact = True

    def __init__(self, net: nn.Module, data: Gaussian, marginals: Sequence[View | Sequence[int]] = (),
                 lowest: float = 2e-3, kept: Sequence[int] | None = None) -> None:
        super().__init__(net if isinstance(net, Slope) else Slope(net), data, marginals, lowest, kept)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        sigma = level(sigma, x).clamp_min(self.lowest)
        modes, variance = self.base.modes(x - self.base.center), self.base.variances + sigma**2
        correction = self.net.net(*self._inputs(modes * variance.rsqrt(), sigma)).reshape(x.shape[:-1])
        return self.base.value(modes, variance) + correction / (sigma.squeeze(-1) if sigma.ndim else sigma)

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        sigma = sigma.clamp_min(self.lowest)
        modes, variance = self.base.modes(x - self.base.center), self.base.variances + sigma**2
        scale = variance.rsqrt()
        white = modes * scale

        def finish(answers: Answers) -> Evaluation:
            ((g, slope),) = answers
            correction = g.reshape(x.shape[:-1]) / (sigma.squeeze(-1) if sigma.ndim else sigma)
            pull = white + self._outputs(slope, x) / sigma
            return Evaluation(self.base.value(modes, variance) + correction, self.base.back(pull * -scale))

        return Plan((Call(self.net, self._inputs(white, sigma)),), finish)


class Slope(nn.Module):
    """A scalar network and its gradient in the input: ``(u, c, keep) -> (N,), (N, n)``; a graph iff grad mode is on."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, u: Tensor, c: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        graph = torch.is_grad_enabled()
        with torch.enable_grad():
            v = u if graph and u.requires_grad else u.detach().requires_grad_()
            value = self.net(v, c, keep)
            (gradient,) = torch.autograd.grad(value.sum(), v, create_graph=graph)
        return value if graph else value.detach(), gradient
