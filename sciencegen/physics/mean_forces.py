r"""The solver that judges: the mean forces on bodies in a stream.

A design is judged on a finer grid than what the prior was trained on, and as it would fly in free air. Forces are
averaged over time first; a ratio is one of means, never a mean of ratios.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .bodies import Outline
from .flow import Flow

__all__ = ["BLOCKAGE", "FreeAir", "MeanForces", "efficiency"]

BLOCKAGE = (0.79, 1.01)  # of drag and of lift, by drag a chord over the height of the box
SCATTER = "1 % off OpenFOAM's drag and 4 % off its lift on average, 4 and 12 % at most"  # of 19 held-out designs


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

    @property
    def words(self) -> str:
        """Who judges, for a reader."""
        length, height = self.size
        return f"the package's own solver, {self.cells} cells a chord in a box of {length:g} x {height:g} chords"

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


@dataclass(frozen=True)
class FreeAir:
    r"""Mean forces in free air from those in a box, by the wall correction of wind tunnels.

    In a stream of height :math:`h` a wake leaves less room for what passes beside it, which is then faster by a share
    that grows with the drag of all bodies together; on the chord as unit of length

    .. math:: F = F_{box} \Bigl(1 - k \, \tfrac{1}{h} \sum C_D\Bigr) .

    The constants :math:`k` of drag and lift, :data:`BLOCKAGE`, are fitted to OpenFOAM's forces on three airfoils and
    three pairs at Re 250, and hold what is left of the grid's error as well. Others are :data:`SCATTER`
    (benchmarks/results/flow_forces.json). Wakes alone have :math:`k = 1/2`.

    References:
        Low-Speed Wind Tunnel Testing (Barlow, Rae & Pope, 1999), chapter 10.

    Arguments:
        reynolds: of the unit chord.
        solver: in the box, at the resolution that ``BLOCKAGE`` was measured at.
    """

    reynolds: float = 250.0
    solver: MeanForces = MeanForces(48, 8.5, 0.35)

    def __call__(self, outlines: Tensor) -> Tensor:
        """Mean drag and lift coefficients, as :meth:`MeanForces.__call__`."""
        force = replace(self.solver, reynolds=self.reynolds)(outlines)
        drag = force[..., :1].sum(-2, keepdim=True) / self.solver.size[1]
        return force * (1 - force.new_tensor(BLOCKAGE) * drag)

    @property
    def words(self) -> str:
        """Who judges and how well, for a reader."""
        return f"the package's own solver, {self.solver.cells} cells a chord, corrected to free air: {SCATTER}"
