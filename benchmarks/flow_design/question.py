"""What every row of the table is asked, and what it hands over."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from sciencegen.airfoil.wings import Limits, Wings
from sciencegen.physics.mean_forces import MeanForces, efficiency

__all__ = ["Designed", "Meter", "Question", "Row"]


@dataclass(frozen=True)
class Question:
    """Which ``bodies`` airfoils in one stream have the most lift for their drag together? ``count`` answers."""

    bodies: int
    count: int = 8
    seed: int = 1
    reynolds: float = 250.0
    limits: Limits = field(default_factory=Limits)

    @property
    def random(self) -> torch.Generator:
        """The question's own random stream, from its beginning."""
        return torch.Generator().manual_seed(self.seed)


class Designed(NamedTuple):
    """A row's answer: ``wings (n, K)``; what could not be built of a sample has NaN for a shape.

    ``force (n, K or 1, 2)`` is what the row itself says of drag and lift, of each wing or of all together; ``flow``
    ``(n, frames, 3, nx, ny)`` is what it generated; ``calls`` of the solver, forward, and their CPU ``seconds``.
    """

    wings: Wings
    force: Tensor | None = None
    flow: Tensor | None = None
    calls: int = 0
    seconds: float = 0.0


class Row(Protocol):
    """A way to answer; ``name`` is the table's."""

    name: str

    def __call__(self, question: Question) -> Designed: ...


class Meter:
    """A judge that counts: ``calls``, and the CPU ``seconds`` of calls without a gradient."""

    def __init__(self, judge: MeanForces) -> None:
        self.judge, self.calls, self.seconds = judge, 0, 0.0

    def __call__(self, wings: Wings) -> Tensor:
        """Lift over drag ``(*B,)`` in float64, NaN where the solver fails."""
        start = time.process_time()
        found = efficiency(self.judge(wings.outline(101).float())).double()
        self.calls += found.numel()
        self.seconds += time.process_time() - start
        return found
