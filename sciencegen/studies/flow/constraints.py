r"""Constraints of bodies in a stream, and the quantities that they are of, as torch functions of a state's parts.

Constraints act at Tweedie's mean of a composed state. Between signed distances stand simple truths that need no
outline: two bodies are apart by
:math:`\min_x (d_1 + d_2)`, and the largest circle inside of one has the radius :math:`-\min_x d`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ...airfoil.wings import Limits
from ...physics import window_forces
from ...tasks import Constraint
from .prior import distance

__all__ = ["ANY", "NEAR", "SOFT", "WINDOW", "clearance", "constraints", "cost", "covered", "derived", "forces",
           "heights", "missing", "radius"]

WINDOW = 64 / 24  # side of the window, chords
FRAME = 0.5  # time between a state's frames
SOFT = 0.01  # chords over which a minimum is rounded
ANY, NEAR = (-math.inf, math.inf), 0.02  # a lift that is not asked for; how far out of its range still counts as in it
LANE, LANES = 0.15, 0.9  # chords that a body may be off its lane; share of the limits over which lanes are spread
THIN = 0.04  # chords: the least radius that is asked of a body's image, whose pixels are as wide


def forces(flow: Tensor, body: Tensor, reynolds: Tensor) -> Tensor:
    """Drag and lift ``(*B, K, 2)`` that the window's flow exerts on the bodies in it, the mean over its frames.

    Arguments:
        flow: (*B, frames, 3, n, n).
        body: (*B, K, m, m), as states hold it.
        reynolds: (*B), logarithm to base 10.
    """
    fold, side = body.shape[-1] // flow.shape[-1], flow.shape[-1]
    near = avg_pool2d(distance(body).flatten(0, -3)[:, None], fold) if fold > 1 else distance(body)
    near = near.reshape(*body.shape[:-2], side, side)
    return window_forces(flow, near, 10**reynolds, WINDOW / side, FRAME).mean(-3)


def cost(drag: Tensor, lift: Tensor, price: float) -> Tensor:
    """``price * drag - lift`` of all bodies together, ``(*B,)``: linear, so that it tilts a prior and nothing else.

    It is least where lift over drag is greatest, if ``price`` is that greatest ratio: "On Nonlinear Fractional
    Programming" (Dinkelbach, 1967), https://doi.org/10.1287/mnsc.13.7.492. The ratio itself has a pole for a guide to
    fall into.
    """
    return price * drag.sum(-1) - lift.sum(-1)


def missing(force: Tensor, lift: tuple[float, float]) -> Tensor:
    """By how much the lift of all bodies together, of ``force (*B, K, 2)``, is outside of its range: ``(*B,)``."""
    total = force[..., 1].sum(-1)
    return (lift[0] - total).clamp_min(0) + (total - lift[1]).clamp_min(0)


def clearance(distance: Tensor) -> Tensor:
    """How far apart each pair of bodies is, chords, negative where they overlap: ``(*B, pairs)``."""
    pairs = torch.combinations(torch.arange(distance.shape[-3]))
    return _least((distance[..., pairs[:, 0], :, :] + distance[..., pairs[:, 1], :, :]).flatten(-2))


def heights(body: Tensor) -> Tensor:
    """Where bodies, ``(*B, K, n, n)`` as states hold them, are across the stream, chords from the middle: ``(*B, K)``.

    The centre of what an image lacks of one, which is nearly linear in the image: it says where a body will be when
    the noise still hides it.
    """
    n = body.shape[-1]
    y = (torch.arange(n, dtype=body.dtype, device=body.device) + 0.5) * (WINDOW / n) - WINDOW / 2
    lack = (1 - body).sum(-2)
    return (lack * y).sum(-1) / lack.sum(-1).clamp_min(1e-3 * n * n)


def covered(distance: Tensor) -> Tensor:
    """Of each body, square chords: ``(*B, K)``; pixels on the surface count by how much of them is inside."""
    pitch = WINDOW / distance.shape[-1]
    return (0.5 - distance / pitch).clamp(0, 1).sum((-2, -1)) * pitch**2


def radius(distance: Tensor) -> Tensor:
    """The largest circle inside of each body, chords: ``(*B, K)``, half of the body's thickness; negative for none."""
    return -_least(distance.flatten(-2))


def derived(forces: Callable[..., Tensor]) -> Callable[..., dict[str, Tensor]]:
    """Of a state's parts ``force (*B, K, 2)``, ``drag, lift (*B, K)``, ``distance (*B, K, n, n)``, ``height (*B, K)``.

    ``forces`` is the composition's. Not the state's own ``force``: a guide would move that number, and leave the flow
    where it is.
    """
    def parts(flow: Tensor, body: Tensor, force: Tensor, reynolds: Tensor) -> dict[str, Tensor]:
        found = forces(flow, body, reynolds)
        return {"force": found, "drag": found[..., 0], "lift": found[..., 1], "distance": distance(body),
                "height": heights(body)}
    return parts


def constraints(limits: Limits, bodies: int, lift: tuple[float, float] = ANY) -> list[Constraint]:
    """Thickness and area of each body; ``lift`` of all together, least and most; several apart, from below up.

    Which body is where is nobody's choice: lanes across the stream say it before noise has them cross.
    """
    kept = [Constraint(lambda distance, **_: THIN - radius(distance), tolerance=0.005, gain=0.05, name="thickness")]
    if limits.area:
        kept.append(Constraint(lambda distance, **_: limits.area - covered(distance), tolerance=0.002, gain=0.02,
                               name="area"))
    if lift != ANY:
        kept.append(Constraint(lambda force, **_: missing(force, lift), tolerance=NEAR, gain=0.1, name="lift"))
    if bodies > 1:
        lanes = LANES * torch.linspace(-limits.y, limits.y, bodies)
        kept += [Constraint(lambda distance, **_: 1.5 * limits.gap - clearance(distance), tolerance=0.01, gain=0.03,
                            name="apart"),
                 Constraint(lambda height, **_: (height - lanes.to(height)).abs() - LANE, tolerance=0.01, gain=0.01,
                            name="lanes")]
    return kept


def _least(values: Tensor) -> Tensor:
    """The minimum over the last axis, rounded over :data:`SOFT` and never above it."""
    least = values.amin(-1, keepdim=True).detach()
    weights = torch.softmax((least - values) / SOFT, -1)
    return (weights * values).sum(-1)
