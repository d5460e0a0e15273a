r"""Flights of equal discs in a square box, for networks: where a state would be some frames before and ahead.

The units are those of :class:`sciencegen.nets.bodies.Bodies`: places centred, walls at ``+-reach``, discs that touch at
a distance ``contact``, and ``step`` flown in a frame at unit speed. A frame is a few steps, as of the engine that made
the data: a place moves first; then a velocity that goes deeper into a wall is mirrored, and discs that go deeper into
one another exchange what they have of velocity along the line between them. The same steps the other way round undo
them. Piles, and how slowly an engine takes an overlap out, are left away.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["FRAMES", "flown"]

FRAMES = 8  # before and ahead
STEPS = 4  # of the engine in a frame


def flown(y: Tensor, there: Tensor, step: float, reach: float, contact: float, frames: int = FRAMES) -> Tensor:
    """What the frames around each one say of it, ``(N, bodies, T, 2 frames + 1, 4)``, the earliest first.

    Arguments:
        y: states ``(N, bodies, T, 4)``, features x, y, vx, vy.
        there: which of them are, ``(N, bodies, T, 1)``; the others meet nobody, and what they say is zero.
        step, reach, contact: as of :class:`sciencegen.nets.bodies.Bodies`.
        frames: at most so many before and ahead.
    """
    turn = y.new_tensor([1.0, 1.0, -1.0, -1.0])
    place, speed = torch.cat([y, y * turn]).split(2, -1)  # who flies back is who turned round
    both, said = there.repeat(2, 1, 1, 1) > 0, [y]
    speed = _bounced(place, speed, both, reach, contact)
    for k in range(1, frames + 1):
        for _ in range(STEPS):
            place, last = place + step / STEPS * speed, speed
            speed = _bounced(place, speed, both, reach, contact)
        ahead = torch.cat([place, speed], -1).chunk(2)[0]
        behind = torch.cat([place, last], -1).chunk(2)[1] * turn
        said = [_moved(ahead * there, k), *said, _moved(behind * there, -k)]
    return torch.stack(said, 3)


def _bounced(place: Tensor, speed: Tensor, there: Tensor, reach: float, contact: float) -> Tensor:
    """Velocities ``(N, bodies, T, 2)`` after what is touched at these places."""
    speed = torch.where((place.abs() > reach) & (place * speed > 0), -speed, speed)
    i, j = torch.triu_indices(place.shape[1], place.shape[1], 1, device=place.device)
    between, closing = place[:, i] - place[:, j], speed[:, i] - speed[:, j]
    along, squared = (between * closing).sum(-1, keepdim=True), between.square().sum(-1, keepdim=True)
    hit = (squared < contact**2) & (along < 0) & there[:, i] & there[:, j]
    push = torch.where(hit, along / torch.where(hit, squared, 1.0), 0.0) * between
    return speed.index_add(1, i, -push).index_add(1, j, push)


def _moved(z: Tensor, k: int) -> Tensor:
    """``z (N, bodies, T, f)`` of frame ``t - k`` at t, zero where there is none."""
    k = max(min(k, z.shape[2]), -z.shape[2])
    none = torch.zeros_like(z[:, :, : abs(k)])
    return torch.cat([none, z[:, :, : z.shape[2] - k]] if k > 0 else [z[:, :, -k:], none], 2)
