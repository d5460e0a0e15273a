r"""Contacts of equal discs in a box: who may meet whom at once, and when what is in touch now began to.

An engine that moves in steps notices a contact at the end of one, so that its map is smooth between jumps, and its
derivative misses how the *time* of a contact moves: of a ball thrown at a wall it says that starting nearer ends
nearer, where it ends farther. With depth :math:`d` and closing speed :math:`c`, the contact began :math:`d / c` ago.
So each first touch is to be taken at a fixed depth: back in time by :math:`\tau = (d - \bar d) / c`, a zero that has a
gradient, the bounce, and forward again with the new velocity, :math:`x \to x - v^- \tau \to x + (v^+ - v^-) \tau`. Its
value is the engine's bit for bit, and its gradient the slope through the jumps.

"DiffTaichi: Differentiable Programming for Physical Simulation" (Hu et al., 2020), https://arxiv.org/abs/1910.00935, on
the time of impact.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["overdue", "rounds"]

SLOWEST = 0.02  # closing speed, box lengths a second, below which a contact's time is taken as it is


def overdue(position: Tensor, velocity: Tensor, radius: float, margin: float) -> Tensor:
    """How much later than it began each body's contact is noticed, ``(B, n)``, as a zero with a gradient.

    ``position, velocity (B, n, 2)`` of discs of ``radius`` whose centres live ``margin`` inside the box.
    """
    velocity = velocity.detach()
    between = position[:, :, None] - position[:, None]
    squared = between.square().sum(-1)
    distance = torch.where(squared > 0, squared, 1.0).sqrt()  # one far away where it is itself, or in the same place
    closing = -((velocity[:, :, None] - velocity[:, None]) * between).sum(-1) / distance
    side = torch.where(position < 0.5, 1.0, -1.0).to(position)
    depth = torch.cat([2 * radius - distance, (position - 0.5).abs() - (0.5 - margin)], -1)
    closing = torch.cat([closing, -side * velocity], -1).detach()
    begun = (depth > 0) & (closing > SLOWEST)
    lags = torch.where(begun, (depth - depth.detach()) / torch.where(begun, closing, 1.0), 0.0)
    return lags.sum(-1) / begun.sum(-1).clamp_min(1)


def rounds(n: int) -> list[list[int]]:
    """Who meets whom in the rounds of a tournament of ``n``: in round ``k``, ``i`` meets ``k - i`` (the circle method).

    Who would meet itself meets the last one where ``n`` is even, and sits out where it is odd.
    """
    turn = n - 1 + n % 2
    meets = [[(k - i) % turn for i in range(turn)] for k in range(turn)]
    if n % 2:
        return meets
    alone = [k * (n // 2) % turn for k in range(turn)]
    return [[n - 1 if i == a else j for i, j in enumerate(row)] + [a] for row, a in zip(meets, alone)]
