r"""Compositions: longer, more and several at once, from a prior that has seen one of them.

*Chains.* A trajectory with memory no longer than what two windows share is its windows minus the overlaps; so is a long
domain. *Pairs.* Bodies that meet in pairs are all pairs minus what each body was counted too often. *Superposition.*
Copies that know nothing of each other, given what they share, are all copies minus what was shared too often:

.. math:: \log p(u) = \sum_k \log p(u_{W_k}) - \sum_k \log p(u_{W_k \cap W_{k+1}}), \qquad
          \log p(u) = \sum_{i<j} \log p(u_i, u_j) - (n - 2) \sum_i \log p(u_i), \qquad
          \log p(u, s) = \sum_k \log p(u_k, s) - (n - 1) \log p(s) .

All are sums of energies of views. They are exact of the clean state; the noised sum is not the sum noised, which a
kernel at each noise level corrects. "Constructing free-energy approximations and generalized belief propagation
algorithms" (Yedidia, Freeman & Weiss, 2005), https://doi.org/10.1109/TIT.2005.850085
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import and_

from .energy import Energy
from .layout import Layout
from .view import View

__all__ = ["bethe", "chain", "chained", "pairs", "superposed"]

Copies = Callable[[View], View]


def chain(prior: Energy, layout: Layout, overlap: int) -> Energy:
    """A long trajectory, or a long domain, from a prior of a window: windows minus overlaps, parameters in both.

    Arguments:
        prior: of one window; where windows overlap it has to know the marginal of its first ``overlap`` frames, with
            all parts that have no such axis.
        layout: of the long state, ``window.grown("u", length=64)`` or ``window.grown("u", length=96, dim="x")``.
        overlap: frames (or cells) that neighbouring windows share; the remaining ones have to add up to the length.
    """
    one, axes = layout.origin, _longer(layout)
    if not axes:
        return prior
    name, axis = next(iter(axes.items()))
    length, frames = (of.variables[name].shape[axis] for of in (one, layout))
    stride = _stride(frames, length, overlap)
    part = lambda n, a, b: one[n][(slice(None),) * axes[n] + (slice(a, b),)] if n in axes else one[n]
    view = lambda n, long, a, b: layout[n] if n not in axes else (
        layout[n][(slice(None),) * axes[n] + (slice(a, b),)].windows(long, stride, axes[n]))
    windows = prior.on(reduce(and_, (view(n, length, 0, frames) for n in layout.variables)))
    kept = [n for n in layout.variables if overlap or n not in axes]
    if not kept or frames == length:
        return windows
    known = prior.marginal(reduce(and_, (part(n, 0, overlap) for n in kept)))
    between = known.on(reduce(and_, (view(n, overlap, stride, frames - stride) for n in kept)))
    return windows - (1 if overlap else frames // length - 1) * between


def chained(window: Energy, overlap: Energy, view: View, length: int, shared: int,
            copies: Copies = lambda v: v) -> Energy:
    """``window`` on windows of ``length`` frames of ``view``, minus ``overlap`` on the ``shared`` ones of neighbours.

    ``copies`` makes copies of each, as all pairs of bodies.
    """
    frames = view.event[0]
    if frames == length:
        return window.on(copies(view.windows(length, 1)))
    stride = _stride(frames, length, shared)
    inner = view[stride:-stride].windows(shared, stride)
    return window.on(copies(view.windows(length, stride))) - overlap.on(copies(inner))


def pairs(pair: Energy, single: Energy, view: View, axis: int = 0) -> Energy:
    """Bodies along ``axis`` of ``view``: all pairs, minus each body as often as it was counted too often (Bethe)."""
    bodies = view.event[axis]
    every = pair.on(view.pairs(axis))
    return every if bodies == 2 else every - (bodies - 2) * single.on(view.each(axis))


def bethe(pair: Callable[[View, Copies], Energy], single: Callable[[View, Copies], Energy], view: View,
          axis: int = 1) -> Energy:
    """Bodies along ``axis`` over a long time: :func:`pairs` of chains.

    ``pair`` and ``single`` make the chain of all copies of two bodies, and of one: ``(view, copies) -> energy``, as
    :func:`chained` does.
    """
    bodies = view.event[axis]
    every = pair(view, lambda v: v.pairs(axis))
    return every if bodies == 2 else every - (bodies - 2) * single(view, lambda v: v.each(axis))


def superposed(prior: Energy, layout: Layout) -> Energy:
    """Several copies of some parts, which share the others: every copy, minus what is shared as often as is too often.

    Arguments:
        prior: of one copy; where parts are shared it has to know their marginal.
        layout: of all, ``one.grown("polar", "log_re", copies=3)``.
    """
    one = layout.origin
    own = [name for name, variable in layout.variables.items() if variable.shape != one.variables[name].shape]
    if not own:
        return prior
    count, shared = layout.variables[own[0]].shape[0], [name for name in layout.variables if name not in own]
    every = prior.on(reduce(and_, (layout[name].each() if name in own else layout[name] for name in layout.variables)))
    if not shared or count == 1:
        return every
    part, view = (reduce(and_, (of[name] for name in shared)) for of in (one, layout))
    return every - (count - 1) * prior.marginal(part).on(view)


def _longer(layout: Layout) -> dict[str, int]:
    """Of each part that is longer than in the layout's origin, along which axis."""
    found = {}
    for name, variable in layout.variables.items():
        first = layout.origin.variables[name].shape
        differ = [axis for axis, (a, b) in enumerate(zip(first, variable.shape)) if a != b]
        if len(first) != len(variable.shape) or len(differ) > 1:
            raise ValueError(f"got '{name}' of shape {variable.shape} from {first}; expected one axis that is longer: "
                             "grow one at a time")
        found |= {name: differ[0]} if differ else {}
    return found


def _stride(frames: int, length: int, overlap: int) -> int:
    stride = length - overlap
    if not 0 <= overlap < length or frames < length or (frames - length) % stride:
        fit = [length + k * stride for k in range(4)] if stride > 0 else []
        raise ValueError(f"got {frames} frames for windows of {length} that share {overlap}; expected an overlap below "
                         f"{length}, and {', '.join(map(str, fit))}, ... frames")
    return stride
