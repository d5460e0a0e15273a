r"""Diffusion priors: a closed-form Gaussian plus a learned correction, fitted by denoising score matching.

The Gaussian with the data's mean ``m`` and covariance ``C`` has an exact Tweedie mean at every noise level. A network
only learns what the data are beyond it, in coordinates where input and target have unit variance at every ``sigma``::

    u    = (C + sigma^2)^{-1/2} (x - m)                                         whitened input
    mean = Gaussian mean + sigma C^{1/2} (C + sigma^2)^{-1/2} F(u, sigma)       Denoiser: F is the network
    E    = Gaussian energy + g(u, sigma) / sigma                                EnergyNet: g is the network, a number

For ``C = 1`` this is the preconditioning of "Elucidating the Design Space of Diffusion-Based Generative Models"
(Karras et al., 2022), https://arxiv.org/abs/2206.00364. A network is called as ``net(u, c, keep)`` with ``u (N, n)``,
``c = log(sigma) / 4 (N, 1)`` and ``keep (N, n)``, what it is told of its coordinates (:mod:`sciencegen.priors.charts`):
so one network knows the joint energy, and every marginal and conditional that it was trained with.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..calls import Answers, Call, Plan
from ..energy import Evaluation, level, score_only
from ..exact import Gaussian
from .charts import Chart
from .contexts import Context
from .preconditioned import Part, Preconditioned

__all__ = ["Denoiser", "EnergyNet"]

_CLEAN = Context()
BELIEVED = 10.0  # times the lowest level: from there on a learned value is good to less than a nat


class Denoiser(Preconditioned):
    """A network that knows Tweedie's mean, hence the score; its energy is not known."""

    exact = False

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        raise score_only(self)

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        chart, base, sigma = self.chart, self.chart.base, sigma.clamp_min(self.lowest)
        variances = base.variances
        scale = torch.addcmul(variances, sigma, sigma).rsqrt()
        white = base.modes(chart.off(x)) * scale

        def finish(answers: Answers) -> Evaluation:
            pull = torch.addcmul(white, self._outputs(answers[0][0], x), variances.sqrt() / sigma, value=-1)
            return Evaluation(None, chart.back(base.back(pull * -scale)))

        return Plan((Call(self.net, self._inputs(white, x, sigma)),), finish)


class EnergyNet(Preconditioned):
    """A network whose value is the energy: scalar, with the score as its exact gradient.

    Costs a backward pass more than a :class:`Denoiser`, and lets a Metropolis-adjusted kernel be used. Training sees
    the gradient alone, and an error of the network counts ``1 / sigma`` times in the value: on a mixture in the plane
    16 nats at sigma = 0.002, 1.4 at 0.01, 0.2 at 0.05. So ``exact_from`` is ten times the lowest level.
    """

    exact = True

    def __init__(self, net: nn.Module, data: Gaussian, marginals: Sequence[Part] = (), lowest: float = 2e-3,
                 given: Sequence[Part] = (), chart: Chart | None = None, context: Context = _CLEAN,
                 within: Sequence[tuple[Part, Part]] = ()) -> None:
        super().__init__(self.around(net), data, marginals, lowest, given, chart, context, within)
        self.exact_from = BELIEVED * lowest

    @classmethod
    def around(cls, net: nn.Module) -> nn.Module:
        """The network and its gradient."""
        return net if isinstance(net, Slope) else Slope(net)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        sigma, x, base = level(sigma, x).clamp_min(self.lowest), self.chart.held(x), self.chart.base
        modes, variance = base.modes(self.chart.off(x)), base.variances + sigma**2
        correction = self.net.net(*self._inputs(modes * variance.rsqrt(), x, sigma)).reshape(x.shape[:-1])
        return base.value(modes, variance) + correction / (sigma.squeeze(-1) if sigma.ndim else sigma)

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        chart, base, sigma = self.chart, self.chart.base, sigma.clamp_min(self.lowest)
        modes, variance = base.modes(chart.off(x)), base.variances + sigma**2
        scale = variance.rsqrt()
        white = modes * scale

        def finish(answers: Answers) -> Evaluation:
            ((g, slope),) = answers
            correction = g.reshape(x.shape[:-1]) / (sigma.squeeze(-1) if sigma.ndim else sigma)
            pull = white + self._outputs(slope, x) / sigma
            return Evaluation(base.value(modes, variance) + correction, chart.back(base.back(pull * -scale)))

        return Plan((Call(self.net, self._inputs(white, x, sigma)),), finish)


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
