r"""Starts from ends: what a world without losses gives to who knows where a flight should end.

Discs that bounce without loss fly the same way back when all velocities turn round. A flight that a network imagines
ends about where it should, even where not all of it is physics; so its end is what is taken from it: where each disc
is, moved apart from the others. From there the solver lets them fly outwards, and where they arrive, turned round, is a
start from which they do end there, up to what the engine forgets at a bounce. What that does not give is equal speeds
at the start, for discs trade speed where they meet. So several headings are tried, all more or less outwards, where
least is met, and of the starts whose discs are apart those with the most equal speeds come first.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .nbody import NBody

__all__ = ["backwards", "headed", "parted"]

SHAKEN = 0.3  # radians, standard deviation of the headings that are tried
GAP = 2e-3  # aimed at between discs that are moved apart, and to walls


def headed(position: Tensor, heading: Tensor, speed: float) -> Tensor:
    """The state ``(*B, n, 4)`` of ``position (*B, n, 2)`` and ``heading (*B, n)`` in which all have one speed."""
    return torch.cat([position, speed * torch.stack([heading.cos(), heading.sin()], -1)], -1)


def parted(position: Tensor, system: NBody, sweeps: int = 100) -> Tensor:
    """``position (*B, n, 2)`` with each disc pushed half of every overlap away, so many times, inside the walls."""
    low, unit = system.margin + GAP, torch.eye(position.shape[-2]).to(position)
    apart = torch.arange(position.shape[-2]).to(position)
    position = position + 1e-6 * torch.stack([apart.cos(), apart.sin()], -1)  # where two are in the same place
    for _ in range(sweeps):
        between = position[..., :, None, :] - position[..., None, :, :]
        distance = between.norm(dim=-1).clamp_min(1e-9) + 9 * unit
        depth = (2 * system.radius + GAP - distance).clamp_min(0) / 2
        position = (position + (depth / distance)[..., None].mul(between).sum(-2)).clamp(low, 1 - low)
    return position


def backwards(end: Tensor, shake: Tensor, frames: int, speed: float, system: NBody) -> Tensor:
    """Starts ``(N, tries, n, 4)`` of flights of ``frames`` to about the places ``end (N, n, 2)``, one rollout each.

    ``shake (N, tries, n)`` is unit noise by which headings differ. Starts whose discs are in one another or in walls
    come last, the others are sorted by how unequal their speeds are; their kinetic energy is that of ``speed``.
    """
    outwards = (end - end.mean(-2, keepdim=True))[:, None].expand(*shake.shape, 2)
    heading = torch.atan2(outwards[..., 1], outwards[..., 0]) + SHAKEN * shake
    last = system.solve(headed(end[:, None].expand_as(outwards), heading, speed), frames)
    start = last[..., -1, :, :] * last.new_tensor([1.0, 1.0, -1.0, -1.0])
    faults = torch.cat([system.overlap(start), system.outside(start)], -1).amax(-1)
    uneven = start[..., 2:].norm(dim=-1).var(-1)
    order = torch.where(faults > 0, math.inf, uneven).argsort(dim=1, stable=True)
    return start[torch.arange(len(start))[:, None], order]
