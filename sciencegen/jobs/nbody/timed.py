r"""The solver's trajectories, bit for bit, with gradients that know that a contact comes earlier or later.

The engine notices a contact at the end of a step, so that its map is smooth between jumps, and its derivative misses
how the *time* of a contact moves: of a ball thrown at a wall it says that starting nearer ends nearer, where it ends
farther. With depth :math:`d` and closing speed :math:`c`, the contact began :math:`d / c` ago. Here each first touch
is taken at a fixed depth: back in time by :math:`\tau = (d - \bar d) / c`, a zero that has a gradient, the bounce, and
forward again with the new velocity, :math:`x \to x - v^- \tau \to x + (v^+ - v^-) \tau`. That averages over the jumps.

"DiffTaichi: Differentiable Programming for Physical Simulation" (Hu et al., 2020), https://arxiv.org/abs/1910.00935, on
the time of impact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ...physics.nbody import NBody

__all__ = ["Timed"]

SLOWEST = 0.02  # closing speed, box lengths a second, below which a contact's time is taken as it is


@dataclass(frozen=True)
class Timed(NBody):
    """:class:`NBody`, the same in all but its gradients."""

    def _touch(self, motion: NamedTuple) -> NamedTuple:
        if not torch.is_grad_enabled() or not motion.position.requires_grad:
            return super()._touch(motion)
        lag = self._lag(motion.position, motion.velocity.detach())[..., None]
        touched = super()._touch(motion._replace(position=motion.position - motion.velocity.detach() * lag))
        return touched._replace(position=touched.position + touched.velocity.detach() * lag)

    def _lag(self, position: Tensor, velocity: Tensor) -> Tensor:
        """How much later than it began to each body's contact is noticed, ``(B, n)``, as a zero with a gradient."""
        between = position[:, :, None] - position[:, None]
        apart = between.square().sum(-1) + torch.eye(position.shape[1]).to(position)
        distance = apart.sqrt()
        closing = -((velocity[:, :, None] - velocity[:, None]) * between).sum(-1) / distance
        side = torch.where(position < 0.5, 1.0, -1.0).to(position)
        depth = torch.cat([2 * self.radius - distance, (position - 0.5).abs() - (0.5 - self.margin)], -1)
        closing = torch.cat([closing, -side * velocity], -1).detach()
        begun = (depth > 0) & (closing > SLOWEST)
        lags = torch.where(begun, (depth - depth.detach()) / torch.where(begun, closing, 1.0), 0.0)
        return lags.sum(-1) / begun.sum(-1).clamp_min(1)
