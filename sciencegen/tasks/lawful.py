r"""How a window goes on where it obeys laws beside its prior: readings of zero, up to their noise.

A law is an energy of the whole window, with what is known in its place. A residual that is linear in what is drawn
conditions the prior by moment matching, exactly where that is a Gaussian; any other residual is linearised at Tweedie's
mean, and a law that is no residual acts there as a potential. A residual's ``noise`` is a standard deviation of what
the law leaves open: for a stochastic system that of its kicks, where zero would say that there are none. What the prior
knows already a law says a second time, so that spread falls short: laws are for what a prior does not know.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..energy import Ahead, Energy, Reading
from ..exact import Gaussian
from ..guide import Moments, Tweedie
from ..linear import affine
from ..moments import Closed
from ..random import Streams
from ..sample import Sampler
from ..view import View

__all__ = ["lawful"]

ITERATIONS = 20  # of the conjugate gradients, for laws that are not linear
FAR = 100.0  # a level from which a state says nothing, over the Gaussian's largest deviation


def lawful(prior: Energy, laws: Energy, view: View, sampler: Sampler) -> Ahead:
    """:meth:`Energy.ahead` of a prior under ``laws``; TypeError where the prior knows no score given ``view``."""
    known, size = prior.given(view), len(view.rest)

    def draw(value: Tensor, noise: Streams) -> Tensor:
        free, own = known.at(view, value), laws.at(view, value)
        readings, rest = own.readings()
        energy = free if rest is None else Tweedie(free, rest)
        near, zero = free.gaussian(), value.new_zeros(len(value), size)
        if not readings:
            return sampler.draw(energy, size, noise, value, near)
        first = laws.at(view, value[0]).readings()[0]
        closed = None if near is None else _closed(energy, readings, first, zero, near)
        if closed is not None:
            return _drawn(closed, near, sampler, noise, zero, rest is None and not free.networks())
        seen, noises = _read(readings, zero)
        lifted = Moments(energy, lambda x: _read(readings, x)[0], torch.zeros_like(seen), noises, ITERATIONS,
                         groups={"law": seen.shape[-1]})
        return sampler.draw(lifted, size, noise, value, near)

    return draw


def _closed(energy: Energy, readings: Sequence[Reading], first: Sequence[Reading], zero: Tensor, near: Gaussian
            ) -> Closed | None:
    """The prior given linear laws; None where those of the ``first`` row are not linear, or not alike in all rows."""
    one = affine(lambda x: _read(first, x)[0], zero[0])
    if one is None:
        return None
    seen, noises = _read(readings, zero)
    some = Streams(torch.arange(len(zero))).normal(zero.shape[-1], zero.dtype).to(zero)
    moved = _read(readings, some)[0] - seen
    if not torch.allclose(moved, some @ one[0].mT, rtol=1e-4, atol=1e-4 * float(moved.abs().max())):
        return None
    return Closed(energy, one[0], -seen, noises, near.around(near.center.mean(0)), {"law": seen.shape[-1]})


def _drawn(closed: Closed, near: Gaussian, sampler: Sampler, noise: Streams, zero: Tensor, done: bool) -> Tensor:
    """From the Gaussian's own draw under the laws: the answer where all is Gaussian, else what the path starts from."""
    normal = lambda step: noise.at(step).normal(zero.shape[-1], zero.dtype).to(zero)
    far = FAR * float(near.variances.max()) ** 0.5
    x = closed.draw(near.center + near.coloured(normal(-2), sigma=far), far, noise.at(-3))
    if done:
        return x
    first, *_, last = sampler.levels
    x = sampler(closed, x + first * normal(-1), noise.seeds)
    return closed.draw(x, last, noise.at(len(sampler.levels))) if last else x


def _read(readings: Sequence[Reading], x: Tensor) -> tuple[Tensor, Tensor]:
    """What the laws read ``(*B, m)``, and the standard deviation of each number of it, ``(m,)``."""
    seen = [reading.function(x) for reading in readings]
    noises = [reading.noise.to(x).expand(one.shape[-1:]) for reading, one in zip(readings, seen)]
    return torch.cat(seen, -1), torch.cat(noises)
