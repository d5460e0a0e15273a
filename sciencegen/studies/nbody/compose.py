r"""More bodies and more frames than a prior was trained on: one line of algebra each.

A trajectory is a chain in time, so that a long one is its windows minus what two of them share; bodies meet in pairs,
so that many are all pairs minus what each body was counted too often (Bethe):

.. math:: \log p(u) = \sum_k \log p(u_{W_k}) - \sum_k \log p(u_{W_k \cap W_{k+1}}), \qquad
          \log p(u) = \sum_{i<j} \log p(u_i, u_j) - (n - 2) \sum_i \log p(u_i) .

The first is exact for a chain whose memory is no longer than the overlap; the second where bodies interact in no loops.
The single is the law of a body alone in the box, so that the sum is also :math:`\sum_i \log p(u_i) + \sum_{i<j}
[\log p(u_i, u_j) - \log p(u_i) - \log p(u_j)]`: what a pair says of a kink that neither of its bodies made cancels, as
far as a network says the same of one and of two. Of a pair alone, it cannot know that a third body turned one of them.

"Compositional Generative Inverse Design" (Wu et al., 2024), https://arxiv.org/abs/2401.13171, averages instead;
"Constructing free-energy approximations and generalized belief propagation algorithms" (Yedidia, Freeman & Weiss,
2005), https://doi.org/10.1109/TIT.2005.850085, for Bethe's count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...compose import Copies, bethe, chained
from ...energy import Energy
from ...layout import Layout, View
from ...mcmc import HMC
from ...physics.nbody import NBody
from ...sample import Ancestral, Sampler, karras
from .prior import within

__all__ = ["STRIDE", "Known", "compose", "enlarge", "few_steps", "require_pair", "room"]

STRIDE = 10  # frames from a window to the next


@dataclass(frozen=True)
class Known:
    """What a prior of two bodies knows: of both and of one, over a window of ``length`` and what two windows share."""

    pair: Energy
    pair_overlap: Energy
    single: Energy
    single_overlap: Energy
    length: int

    @classmethod
    def of(cls, layout: Layout, energy: Energy) -> Known:
        """From a trained prior and its layout; ValueError if it does not know the marginals."""
        require_pair(layout)
        u, length = layout["trajectory"], layout.variables["trajectory"].shape[0]
        shared = length - STRIDE
        if hasattr(getattr(energy, "net", None), "among"):  # of any number of bodies: the same at half the price
            return cls(energy, within(energy, shared, 2), within(energy, length, 1), within(energy, shared, 1), length)
        return cls(energy, *(energy.marginal(part) for part in (u[:shared], u[:, 0], u[:shared, 0])), length)

    def pairs(self, view: View, copies: Copies = lambda v: v.pairs(axis=1)) -> Energy:
        """Of ``copies`` of two bodies over a long time: all pairs count each of ``n`` bodies ``n - 1`` times."""
        return chained(self.pair, self.pair_overlap, view, self.length, self.length - STRIDE, copies)

    def singles(self, view: View, copies: Copies = lambda v: v.each(axis=1)) -> Energy:
        """Of ``copies`` of one body over a long time."""
        return chained(self.single, self.single_overlap, view, self.length, self.length - STRIDE, copies)


def compose(layout: Layout, energy: Energy, frames: int, bodies: int) -> tuple[Layout, Energy]:
    """Layout and prior of ``bodies`` over ``frames``, from those of two bodies over a window, by Bethe's count."""
    many, known = enlarge(layout, frames, bodies), Known.of(layout, energy)
    return many, bethe(known.pairs, known.singles, many["trajectory"])


def enlarge(layout: Layout, frames: int, bodies: int) -> Layout:
    """The same layout of more bodies and frames; ValueError where windows do not end with the last frame."""
    require_pair(layout)
    length = layout.variables["trajectory"].shape[0]
    if bodies < 2 or frames < length or (frames - length) % STRIDE:
        raise ValueError(f"got {bodies} bodies over {frames} frames; expected two or more, over {length}, "
                         f"{length + STRIDE}, {length + 2 * STRIDE}, ... frames, so that windows end with the last one")
    return layout.grown("trajectory", length=frames).grown("trajectory", length=bodies, dim="body")


def require_pair(layout: Layout) -> None:
    """ValueError unless a layout is that of windows of two bodies."""
    one = layout.variables.get("trajectory")
    if set(layout.variables) != {"trajectory"} or one.shape[1:] != (2, 4) or one.shape[0] <= STRIDE:
        raise ValueError(f"got a prior over { {k: v.shape for k, v in layout.variables.items()} }; expected one of "
                         f"trajectory (frames > {STRIDE}, 2, 4), as `sciencegen train nbody` makes it")


def few_steps(levels: int = 16, repeats: int = 2, step: float = 0.5, low: float = 5e-3, high: float = 10.0,
              device: str = "cpu") -> Sampler:
    """Stochastic steps with ``repeats`` Langevin corrections at each level: ``levels (1 + repeats)`` scores.

    Under composition the flow without them converges to a wrong answer, however many steps it takes. A sum of many
    terms is stiffer than one: ``step`` 1 is better for two bodies, and sends four to infinity.
    """
    walk = HMC(lambda sigma: step * sigma / (1 + sigma**2).sqrt(), adjusted=False, repeats=repeats)
    return Ancestral(karras(levels, low, high).to(device), walk if repeats else None)


def room(system: NBody) -> int:
    """Discs in the box, at most: centres one apart in a convex region of area A and perimeter P are not more than
    ``2 A / sqrt(3) + P / 2 + 1`` (Groemer, 1960)."""
    side = (1 - 2 * system.margin) / (2 * system.radius)
    return int(2 / math.sqrt(3) * side**2 + 2 * side + 1)
