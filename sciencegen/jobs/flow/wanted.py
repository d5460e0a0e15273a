"""What is wanted of bodies in a stream, as constraints at Tweedie's mean of a composed state."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...tasks import Constraint
from .compose import Composition
from .prior import distance
from .question import ANY, NEAR, clearance, covered, heights, missing, radius
from .wings import Limits

__all__ = ["constraints", "derived"]

LANE, LANES = 0.15, 0.9  # chords that a body may be off its lane; share of the limits over which lanes are spread
THIN = 0.04  # chords: the least radius that is asked of a body's image, whose pixels are as wide


def derived(made: Composition) -> Callable[..., dict[str, Tensor]]:
    """Of a state's parts ``force (*B, K, 2)``, ``drag, lift (*B, K)``, ``distance (*B, K, n, n)``, ``height (*B, K)``.

    Not the state's own ``force``: a guide would move that number, and leave the flow where it is.
    """
    def parts(flow: Tensor, body: Tensor, force: Tensor, reynolds: Tensor) -> dict[str, Tensor]:
        found = made.forces(flow, body, reynolds)
        return {"force": found, "drag": found[..., 0], "lift": found[..., 1], "distance": distance(body),
                "height": heights(body)}
    return parts


def constraints(limits: Limits, bodies: int, lift: tuple[float, float] = ANY) -> list[Constraint]:
    """Thickness and area of each body; ``lift`` of all together, least and most; several apart, from below up.

    Which body is where is nobody's choice: lanes across the stream say it before noise has them cross.
    """
    kept = [Constraint(lambda distance, **_: THIN - radius(distance), tolerance=0.005, gain=0.05)]
    if limits.area:
        kept.append(Constraint(lambda distance, **_: limits.area - covered(distance), tolerance=0.002, gain=0.02))
    if lift != ANY:
        kept.append(Constraint(lambda force, **_: missing(force, lift), tolerance=NEAR, gain=0.1))
    if bodies > 1:
        lanes = LANES * torch.linspace(-limits.y, limits.y, bodies)
        kept += [Constraint(lambda distance, **_: 1.5 * limits.gap - clearance(distance), tolerance=0.01, gain=0.03),
                 Constraint(lambda height, **_: (height - lanes).abs() - LANE, tolerance=0.01, gain=0.01)]
    return kept
