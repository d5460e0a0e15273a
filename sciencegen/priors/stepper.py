r"""Next-frame networks: one call a window, no density, and the rows that a diffusion forecast has to beat.

A network is told the known frames and says the next ones, in units of what the conditional Gaussian leaves open::

    x_f = m(x_g) + C^{1/2} F(z, x_g),    C = Cov(x_f | x_g)

with Gaussian noise ``z`` injected or without. Without, it is trained by its squared error and says the conditional
mean; with it, by the *almost fair* CRPS of ``M`` members of each row,

.. math:: \frac{1}{M} \sum_j |x_j - y| - \frac{1 - (1 - \alpha) / M}{2 M (M - 1)} \sum_{j,k} |x_j - x_k|,

of which ``alpha = 1`` would not tell ``M - 1`` equal members beside an error from none: "AIFS-CRPS: Ensemble
forecasting using a model trained with a loss function based on the Continuous Ranked Probability Score" (Lang et al.,
2024), https://arxiv.org/abs/2412.15832. The score is of each number by itself: noise that is drawn point by point meets
it with a field whose points are too little correlated, noise as one vector for the whole field does not: "Skillful
joint probabilistic weather forecasting from marginals" (Alet et al., 2025), https://arxiv.org/abs/2506.10772. Noise on
the known frames in training steadies long roll-outs: "Learning to Simulate Complex Physics with Graph Networks"
(Sanchez-Gonzalez et al., 2020), https://arxiv.org/abs/2002.09405.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..calls import Answers, Call, Plan, together
from ..energy import Ahead, Walk
from ..exact import Gaussian
from ..random import Streams
from ..view import View, scatter
from .base import Draw
from .charts import Chart
from .contexts import Context
from .preconditioned import Part, Preconditioned

__all__ = ["Stepper"]

ALPHA = 0.95
_CLEAN = Context()


class Stepper(Preconditioned):
    """A network that says the free coordinates where others are known: the next frames, given those before.

    Arguments:
        net: ``(u (N, n), c (N, 1 + vector), keep (N, n)) -> (N, n)``; ``u`` has the noise, or zeros, where coordinates
            are free.
        data: Gaussian over the ``n`` coordinates, whose conditional one the network corrects.
        marginals: none; here for the order of the others.
        lowest: a tenth of it is the least deviation in whose units an error counts.
        given: the parts that it may be told, as the frames before.
        chart: which of them are known; set by :meth:`given`.
        context: noise on what is known in training; it has no levels, and no means of its own.
        members: of a row in training: 1 for the squared error and no noise, else the almost fair CRPS.
        vector: numbers of noise for the whole state, in ``c``; 0 for a number for each free coordinate, in ``u``.

    Raises:
        ValueError: nothing is given; marginals; a context for levels; a number of members or of noise that is none.
    """

    exact = False
    denoises = False

    def __init__(self, net: nn.Module, data: Gaussian, marginals: Sequence[Part] = (), lowest: float = 2e-3,
                 given: Sequence[Part] = (), chart: Chart | None = None, context: Context = _CLEAN,
                 members: int = 1, vector: int = 0) -> None:
        super().__init__(net, data, marginals, lowest, given, chart, context)
        if self.marginals or not self.conditions:
            raise ValueError(f"got {len(self.marginals)} marginals and {len(self.conditions)} parts given for a "
                             "Stepper; expected no marginals, and one part or more to step from: given=((('u', 1),),)")
        if members < 1 or vector < 0 or (members == 1 and vector):
            raise ValueError(f"got members={members}, vector={vector} for a Stepper; expected one member without noise "
                             "or several with it, and no number below zero")
        if context.means or context.balanced:
            raise ValueError(f"got {context} for a Stepper, which has no noise levels; expected Context(noise=...)")
        self.members, self.vector = members, vector

    def _charted(self, chart: Chart) -> Stepper:
        return Stepper(self.net, self.data, (), self.lowest, self.conditions, chart, self.context, self.members,
                       self.vector)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        raise _drawn_only(self)

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        raise _drawn_only(self)

    def gaussian(self) -> None:
        """None: the one that it corrects is not the law of what it draws."""

    def gaussian_at(self, view: View, value: Tensor) -> None:
        """None, as :meth:`gaussian`."""

    def plan_frames(self, x: Tensor, noise: Streams) -> Plan:
        """The free coordinates ``(*B, f)`` of a draw for each row ``x (*B, n)``, which has the known ones in place."""
        chart, base = self.chart, self.chart.base
        if not chart.name:
            raise ValueError(f"got {self!r} of nothing known; expected its given(view), for a part that it steps from")
        expected, root = chart.free(x) - chart.off(x), base.variances.sqrt()

        def finish(answers: Answers) -> Tensor:
            return expected + base.back(self._outputs(answers[0][0], x) * root)

        return Plan((Call(self.net, self._told(x, noise)),), finish)

    def ahead(self, view: View, sampler: Walk) -> Ahead:
        """A frame for each row by one call of the network; nothing is walked."""
        known = self.given(view)
        rows = view.rows

        def drawn(value: Tensor, noise: Streams) -> Tensor:
            with torch.no_grad():
                return known.plan_frames(scatter(value, rows, self.size), noise).run()

        return drawn

    def _told(self, x: Tensor, noise: Streams) -> tuple[Tensor, Tensor, Tensor]:
        """What the network is told: the noise of a draw where it has some, and what is known."""
        free, rows = self.chart.base.center.numel(), x.numel() // x.shape[-1]
        scattered = self.members > 1 and not self.vector
        drawn = noise.normal(free, x.dtype) if scattered else x.new_zeros(*x.shape[:-1], free)
        level = x.new_zeros(rows, 1)
        if self.vector:
            level = torch.cat([level, noise.normal(self.vector, x.dtype).reshape(rows, -1)], -1)
        u = self.chart.enter(drawn, x)
        return u, level, self.chart.keep.expand_as(u)

    def _plan_rows(self, index: int, clean: Tensor, draw: Draw) -> Plan:
        """Errors ``(b,)`` of what rows of one kind are given to step from; those of the joint, of the first given.

        One means no better than the Gaussian where the error is squared; of a CRPS the Gaussian's mean has .8.
        """
        part = self._part(max(index, 1))
        x = clean + self.context.size(draw) * part.chart.known(draw.noise)
        streams, wanted = Streams((draw.uniform[:, 2].double() * 2**53).long()), part.chart.free(clean)
        plans = [part.plan_frames(x, streams.at(0, member)) for member in range(self.members)]
        measure = part._squared if self.members == 1 else part._crps
        return together(plans).then(lambda frames: measure(torch.stack(frames) - wanted))

    def _squared(self, errors: Tensor) -> Tensor:
        """``(1, b, f) -> (b,)``, in units of the Gaussian along its modes."""
        base = self.chart.base
        off = base.modes(errors[0]) / base.variances.sqrt().clamp_min(self.lowest / 10)
        return off.square().sum(-1) / base.center.numel()

    def _crps(self, errors: Tensor) -> Tensor:
        """``(M, b, f) -> (b,)``, in units of the Gaussian's deviation of each coordinate."""
        count = len(errors)
        off = errors / self.chart.base.deviations().clamp_min(self.lowest / 10)
        apart = (off[:, None] - off[None]).abs().sum((0, 1))
        unfair = 1 - (1 - ALPHA) / count
        return (off.abs().mean(0) - unfair / (2 * count * (count - 1)) * apart).mean(-1)

    def config(self) -> dict[str, Any]:
        return {**super().config(), "members": self.members, "vector": self.vector}

    @classmethod
    def build(cls, config: Mapping[str, Any], net: nn.Module, tensors: Mapping[str, Tensor]) -> Stepper:
        own = {name: config[name] for name in ("members", "vector")}
        plain = Preconditioned.build.__func__(cls, {k: v for k, v in config.items() if k not in own}, net, tensors)
        return cls(net, plain.data, (), plain.lowest, plain.conditions, context=plain.context, **own)


def _drawn_only(prior: Stepper) -> TypeError:
    return TypeError(f"{prior!r} draws frames and knows no density of them, nor its score; expected no laws, objective "
                     "or readings, or a Denoiser, trained with the same frames given")
