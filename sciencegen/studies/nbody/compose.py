r"""More bodies and more frames than a prior was trained on: one line of algebra each.

A trajectory is a chain in time, so that a long one is its windows minus what two of them share; bodies meet in pairs,
so that many are all pairs minus what each body was counted too often (Bethe):

.. math:: \log p(u) = \sum_k \log p(u_{W_k}) - \sum_k \log p(u_{W_k \cap W_{k+1}}), \qquad
          \log p(u) = \sum_{i<j} \log p(u_i, u_j) - (n - 2) \sum_i \log p(u_i) .

The first is exact for a chain whose memory is no longer than the overlap; the second where bodies interact in no loops.
Of a pair alone, a prior cannot know that a third body turned one of the two: samples avoid contacts between bodies,
as if a kink in the middle of the box had no cause.

"Compositional Generative Inverse Design" (Wu et al., 2024), https://arxiv.org/abs/2401.13171, averages instead;
"Constructing free-energy approximations and generalized belief propagation algorithms" (Yedidia, Freeman & Weiss,
2005), https://doi.org/10.1109/TIT.2005.850085, for Bethe's count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from ...energy import Energy
from ...layout import Layout, View
from ...nets.bodies import Bodies
from ...priors import Denoiser
from .prior import within

__all__ = ["STRIDE", "Known", "bethe", "chain", "compose", "enlarge", "require_pair", "summed"]

STRIDE = 10  # frames from a window to the next

Copies = Callable[[View], View]


@dataclass(frozen=True)
class Known:
    """What a prior of two bodies knows: of both and of one, over a window and over what two windows share."""

    pair: Energy
    pair_overlap: Energy
    single: Energy
    single_overlap: Energy

    @classmethod
    def of(cls, layout: Layout, energy: Energy) -> Known:
        """From a trained prior and its layout; ValueError if it does not know the marginals."""
        require_pair(layout)
        u, length = layout["trajectory"], layout.variables["trajectory"].shape[0]
        shared = length - STRIDE
        if isinstance(energy, Denoiser) and isinstance(energy.net, Bodies):  # the same numbers at half the price
            return cls(energy, within(energy, shared, 2), within(energy, length, 1), within(energy, shared, 1))
        return cls(energy, *(energy.marginal(part) for part in (u[:shared], u[:, 0], u[:shared, 0])))


def chain(window: Energy, overlap: Energy, u: View, copies: Copies, length: int) -> Energy:
    """``window`` on each window of ``u``, ``length`` frames, minus ``overlap`` on what neighbours share."""
    whole = window.on(copies(u.windows(length, STRIDE)))
    shared = u[STRIDE:-STRIDE]
    return whole if u.event[0] == length else whole - overlap.on(copies(shared.windows(length - STRIDE, STRIDE)))


def summed(known: Known, u: View, length: int) -> Energy:
    """All pairs, which counts each of ``n`` bodies ``n - 1`` times."""
    return chain(known.pair, known.pair_overlap, u, lambda v: v.pairs(axis=1), length)


def bethe(known: Known, u: View, length: int) -> Energy:
    """All pairs minus ``n - 2`` times each body."""
    pairs, bodies = summed(known, u, length), u.event[1]
    if bodies == 2:
        return pairs
    return pairs - (bodies - 2) * chain(known.single, known.single_overlap, u, lambda v: v.each(axis=1), length)


def compose(layout: Layout, energy: Energy, frames: int, bodies: int) -> tuple[Layout, Energy]:
    """Layout and prior of ``bodies`` over ``frames``, from those of two bodies over a window: :func:`bethe`."""
    many = enlarge(layout, frames, bodies)
    return many, bethe(Known.of(layout, energy), many["trajectory"], layout.variables["trajectory"].shape[0])


def enlarge(layout: Layout, frames: int, bodies: int) -> Layout:
    """The same layout of more bodies and frames; ValueError where windows do not end with the last frame."""
    require_pair(layout)
    one = layout.variables["trajectory"]
    length = one.shape[0]
    if bodies < 2 or frames < length or (frames - length) % STRIDE:
        raise ValueError(f"got {bodies} bodies over {frames} frames; expected two or more, over {length}, "
                         f"{length + STRIDE}, {length + 2 * STRIDE}, ... frames, so that windows end with the last one")
    loc, scale = (one.flat(v).reshape(one.shape)[0, 0] for v in (one.loc, one.scale))
    coords = {"feature": one.coords["feature"]} if "feature" in one.coords else {}
    return Layout(trajectory=replace(one, shape=(frames, bodies, 4), loc=loc, scale=scale, coords=coords))


def require_pair(layout: Layout) -> None:
    """ValueError unless a layout is that of two bodies, in units that no frame and no body has for itself."""
    one = layout.variables.get("trajectory")
    alike = one is not None and set(layout.variables) == {"trajectory"} and one.shape[1:] == (2, 4) and all(
        torch.equal(v, v[:1, :1].expand_as(v)) for v in (one.flat(w).reshape(one.shape) for w in (one.loc, one.scale)))
    if not alike or one.shape[0] <= STRIDE:
        raise ValueError(f"got a prior over { {k: v.shape for k, v in layout.variables.items()} }; expected one of "
                         f"trajectory (frames > {STRIDE}, 2, 4) with one unit a feature, as `sciencegen train nbody`")
