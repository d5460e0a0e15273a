"""The floor that a reversible world gives away: start where one wants to end, let it fly, and turn around."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from .floors import Answer, Packing, Question
from .scoring import SPEED

__all__ = ["Backwards"]


@dataclass(frozen=True)
class Backwards:
    """Discs packed round the target fly apart; the last state, with its velocities turned, is the start.

    One rollout a design, and no search. Exact but for what the engine forgets at a bounce, which chaos amplifies: the
    more bodies and the longer, the worse.

    Arguments:
        gap: between packed discs, of the distance of touching ones.
        spread: of the headings round the way outwards, radians.
    """

    gap: float = 1.02
    spread: float = 1.0
    name: str = "packing, played backwards"

    def __call__(self, question: Question) -> Answer:
        start, random = Packing(self.gap)(question).start, torch.Generator().manual_seed(question.seed)
        out = start[..., :2] - start.new_tensor(question.target)
        turn = torch.rand(out.shape[:-1], generator=random, dtype=out.dtype)
        free = torch.where(out.norm(dim=-1) > 1e-6, self.spread, 2 * math.pi)  # who is in the middle goes anywhere
        heading = torch.atan2(out[..., 1], out[..., 0]) + free * (turn - 0.5)
        start = torch.cat([start[..., :2], SPEED * torch.stack([heading.cos(), heading.sin()], -1)], -1)
        with torch.no_grad():
            last = question.system.solve(start, question.frames)[:, -1]
        return Answer(last * last.new_tensor([1.0, 1.0, -1.0, -1.0]), 1)
