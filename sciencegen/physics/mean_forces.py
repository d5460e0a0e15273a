r"""The solver that judges: the mean forces on bodies in a stream.

A design is judged on a finer grid and for a longer time than what the prior was trained on. Forces are averaged over
time first; a ratio is one of means, never a mean of ratios.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .bodies import Outline
from .flow import Flow

__all__ = ["MeanForces", "efficiency"]


def efficiency(force: Tensor) -> Tensor:
    """Lift over drag of all bodies together, of mean forces ``(*B, K, 2)``: ``(*B,)``."""
    drag, lift = force.sum(-2).unbind(-1)
    return lift / drag


@dataclass(frozen=True)
class MeanForces:
    """The embedded solver (:class:`sciencegen.physics.Flow`) as a function of outlines.

    Arguments:
        cells: a chord; 48 judges, 24 is what the small prior was trained on.
        time: how long is solved after the start from rest, chords over the free stream.
        mean: the last share of ``time`` that is averaged.
        reynolds: of the unit chord.
        size: of the box, chords.
        compiled: as in :class:`sciencegen.physics.Flow`.
    """

    cells: int = 48
    time: float = 12.0
    mean: float = 0.4
    reynolds: float = 250.0
    size: tuple[float, float] = (8.0, 6.0)
    compiled: bool = False

    def __call__(self, outlines: Tensor) -> Tensor:
        """Mean drag and lift coefficients ``(*B, K, 2)`` of ``outlines (*B, K, n, 2)``, differentiable; NaN where the
        solver fails: a body in the fringe, or speeds that no flow has."""
        rows = outlines.reshape(-1, *outlines.shape[-3:])
        found = [self._one(row) for row in rows]
        return torch.stack(found).reshape(*outlines.shape[:-2], 2) if found else outlines.new_empty(0, rows.shape[1], 2)

    def _one(self, outlines: Tensor) -> Tensor:
        frames = round(self.time / 0.25)
        late = round(self.mean * frames)
        flow = Flow(self.cells, self.size, self.reynolds, frame=0.25, frames=frames, compiled=self.compiled)
        try:
            start = flow.start(outlines.dtype, outlines.device)
            mean = flow.solve(*(Outline(points) for points in outlines), start=start)[1][-late:].mean(0)
        except ValueError:  # of Flow: a body reaches the fringe
            return outlines.new_full((len(outlines), 2), torch.nan)
        return torch.where(mean.isfinite() & (mean.abs() < 50.0), mean, torch.nan)
