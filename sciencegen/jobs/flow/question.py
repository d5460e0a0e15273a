r"""What is asked of bodies in a stream, as torch functions of a state's parts.

Between signed distances stand simple truths that need no outline: two bodies are apart by
:math:`\min_x (d_1 + d_2)`, and the largest circle inside of one has the radius :math:`-\min_x d`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ...physics import window_forces
from .prior import distance

__all__ = ["SOFT", "WINDOW", "clearance", "derived", "drag_over_lift", "forces", "radius"]

WINDOW = 64 / 24  # side of the window, chords
FRAME = 0.5  # time between a state's frames
SOFT = 0.01  # chords over which a minimum is rounded


def derived(flow: Tensor, body: Tensor, force: Tensor, reynolds: Tensor) -> dict[str, Tensor]:
    """``drag, lift (*B, K)`` as the state has them, and ``distance (*B, K, n, n)``."""
    return {"drag": force[..., 0], "lift": force[..., 1], "distance": distance(body)}


def forces(flow: Tensor, body: Tensor, reynolds: Tensor) -> Tensor:
    """Drag and lift ``(*B, K, 2)`` that the window's flow exerts on the bodies in it, the mean over its frames.

    Args:
        flow: (*B, frames, 3, n, n).
        body: (*B, K, m, m), as states hold it.
        reynolds: (*B), logarithm to base 10.
    """
    fold, side = body.shape[-1] // flow.shape[-1], flow.shape[-1]
    near = avg_pool2d(distance(body).flatten(0, -3)[:, None], fold) if fold > 1 else distance(body)
    near = near.reshape(*body.shape[:-2], side, side)
    return window_forces(flow, near, 10**reynolds, WINDOW / side, FRAME).mean(-3)


def drag_over_lift(drag: Tensor, lift: Tensor, **_: Tensor) -> Tensor:
    """Minus the lift of all bodies together over their drag, ``(*B,)``; a drag below 0.05 is taken as that."""
    return -lift.sum(-1) / drag.sum(-1).clamp_min(0.05)


def clearance(distance: Tensor) -> Tensor:
    """How far apart each pair of bodies is, chords, negative where they overlap: ``(*B, pairs)``."""
    pairs = torch.combinations(torch.arange(distance.shape[-3], device=distance.device))
    return _least((distance[..., pairs[:, 0], :, :] + distance[..., pairs[:, 1], :, :]).flatten(-2))


def radius(distance: Tensor) -> Tensor:
    """The largest circle inside of each body, chords: ``(*B, K)``, half of the body's thickness; negative for none."""
    return -_least(distance.flatten(-2))


def _least(values: Tensor) -> Tensor:
    """The minimum over the last axis, rounded over :data:`SOFT` and never above it."""
    least = values.amin(-1, keepdim=True).detach()
    weights = torch.softmax((least - values) / SOFT, -1)
    return (weights * values).sum(-1)
