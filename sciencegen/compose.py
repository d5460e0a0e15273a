r"""Compositions: longer, more and several at once, from a prior that has seen one of them.

*Chains.* A trajectory with memory no longer than what two windows share is its windows minus the overlaps; so is a long
domain. *Pairs.* Bodies that meet in pairs are all pairs minus what each body was counted too often. *Superposition.*
Copies that know nothing of each other, given what they share, are all copies minus what was shared too often:

.. math:: \log p(u) = \sum_k \log p(u_{W_k}) - \sum_k \log p(u_{W_k \cap W_{k+1}}), \qquad
          \log p(u) = \sum_{i<j} \log p(u_i, u_j) - (n - 2) \sum_i \log p(u_i), \qquad
          \log p(u, s) = \sum_k \log p(u_k, s) - (n - 1) \log p(s) .

*Patches.* A field of two axes is the chain of both: patches, minus the strips that neighbours share along either axis,
plus the corners that four share, so that each point is counted once, :math:`(W - O) \otimes (W - O) = W \otimes W -
O \otimes W - W \otimes O + O \otimes O`.

All are sums of energies of views. They are exact of the clean state; the noised sum is not the sum noised, which a
kernel at each noise level corrects. "Constructing free-energy approximations and generalized belief propagation
algorithms" (Yedidia, Freeman & Weiss, 2005), https://doi.org/10.1109/TIT.2005.850085
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from operator import and_

from .energy import Energy
from .layout import Layout
from .view import View

__all__ = ["bethe", "chain", "chained", "pairs", "patches", "superposed"]

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


def patches(prior: Energy, layout: Layout, overlap: int, periodic: bool = True) -> Energy:
    """A large field from a prior of a square patch: patches - edges + corners, in both directions at once.

    A part without the two axes is shared by all patches, or each has its own: *painting*, where the part has two more
    axes in front, rows and columns of patches. An edge then has that of the patch which it begins.

    Arguments:
        prior: of one patch; where patches overlap it has to know the marginals of its first ``overlap`` rows, of its
            first columns and of the corner that is in both, each with all parts that have no such axes. Where one of
            those is given, ``prior.given(style)``, the marginals are of that.
        layout: of the whole, ``patch.grown("u", length=64, dim="y").grown("u", length=64, dim="x")``; for painting
            ``.grown("style", copies=columns).grown("style", copies=rows)`` in addition.
        overlap: rows, and columns, that neighbouring patches share.
        periodic: whether opposite sides of the whole meet.
    """
    one = _first(layout)
    axes = {name: found for name in layout.variables if (found := _plane(one, layout, name))}
    if not axes:
        return prior
    name, plane = next(iter(axes.items()))
    lengths, sizes = ([of.variables[name].shape[a] for a in plane] for of in (one, layout))
    strides = [_stride(n, length, overlap, periodic) for n, length in zip(sizes, lengths)]
    total: Energy | None = None
    for shared in ((False, False), (False, True), (True, False), (True, True)) if overlap else ((False, False),):
        term = _tiled(prior, one, layout, axes, overlap, shared, strides, periodic)
        total = term if total is None else total + (-1) ** sum(shared) * term
    alike = [name for name in layout.variables if layout.variables[name].shape == one.variables[name].shape]
    times = int(not periodic) if overlap else math.prod(n // stride for n, stride in zip(sizes, strides))
    if not alike or times == 1:
        return total
    part, view = (reduce(and_, (of[name] for name in alike)) for of in (one, layout))
    return total if prior.takes(part.rows) else total + (1 - times) * prior.marginal(part).on(view)


def _tiled(prior: Energy, one: Layout, layout: Layout, axes: dict[str, tuple[int, int]], overlap: int,
           shared: tuple[bool, bool], strides: list[int], periodic: bool) -> Energy:
    """The energy of all patches, or of what neighbours share along one axis or both."""
    part, whole = [], []
    for name, variable in one.variables.items():
        own, all_of = one[name], layout[name]
        if name not in axes:
            part.append(own)
            whole.append(_painted(all_of, len(variable.shape), shared, periodic))
            continue
        at = [slice(None)] * len(variable.shape)
        inner = at.copy()
        for axis, cut, stride in zip(axes[name], shared, strides):
            at[axis] = slice(overlap) if cut else slice(None)
            inner[axis] = slice(stride, -stride) if cut and not periodic else slice(None)
        cut = own[tuple(at)]
        part.append(cut)
        lengths = tuple(cut.event[a] for a in axes[name])
        whole.append(all_of[tuple(inner)].patches(lengths, tuple(strides), axes[name], periodic))
    alone = prior.marginal(reduce(and_, part)) if any(shared) else prior
    return alone.on(reduce(and_, whole))


def _painted(view: View, axes: int, shared: tuple[bool, bool], periodic: bool) -> View:
    """A part that all patches share, or that of the patch with which each patch or edge begins."""
    if len(view.event) == axes:
        return view
    begins = tuple(slice(1, None) if cut and not periodic else slice(None) for cut in shared)
    return view[begins].each().each()


def _first(layout: Layout) -> Layout:
    """What a layout was grown from, in the beginning."""
    return layout if layout.origin is layout else _first(layout.origin)


def _plane(one: Layout, layout: Layout, name: str) -> tuple[int, int] | None:
    """The two axes along which a part of a patch has grown; None if it has not, or is one for each patch."""
    first, now = (of.variables[name].shape for of in (one, layout))
    if len(now) != len(first):
        if now[2:] != first:
            raise ValueError(f"got '{name}' of shape {now} from {first}; expected two more axes in front, rows and "
                             "columns of patches")
        return None
    differ = tuple(axis for axis, (a, b) in enumerate(zip(first, now)) if a != b)
    if len(differ) not in (0, 2):
        raise ValueError(f"got '{name}' of shape {now} from {first}; expected two axes that are longer: grow both")
    return differ or None


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


def _stride(frames: int, length: int, overlap: int, periodic: bool = False) -> int:
    stride = length - overlap
    if not 0 <= overlap < length or frames < length or (frames - (0 if periodic else length)) % stride:
        least = -(-length // stride) * stride if stride > 0 and periodic else length
        fit = [least + k * stride for k in range(4)] if stride > 0 else []
        raise ValueError(f"got {frames} frames for windows of {length} that share {overlap}; expected an overlap below "
                         f"{length}, and {', '.join(map(str, fit))}, ... frames")
    return stride
