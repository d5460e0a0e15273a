"""The trained prior of two bodies and 24 frames, composed in time and over bodies; judged by the exact system."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sciencegen.energy import Energy
from sciencegen.physics.nbody import NBody
from sciencegen.priors import Model
from sciencegen.studies.nbody.prior import prior_layout
from sciencegen.view import View

from .original import Averaged
from .systems import STRIDE, WINDOW, Composed

__all__ = ["Box", "composed", "view"]


@dataclass(frozen=True)
class Box:
    """Discs in a box, re-simulated by the exact solver."""

    bodies: int = 2

    def resimulate(self, designs: Tensor) -> Tensor:
        """Bounces and all."""
        return NBody().solve(designs[:, 0].double(), designs.shape[1]).to(designs)


def view(body: View) -> View:
    """The copies that a prior of two bodies and 24 frames scores in a longer trajectory of more bodies."""
    frames, bodies, _ = body.event
    windows = body.windows(WINDOW, STRIDE) if frames > WINDOW else body
    return windows.pairs(axis=1) if bodies > 2 else windows


def composed(model: Model, frames: int, bodies: int) -> Composed:
    """Averaged; and windows minus overlaps of pairs minus ``n - 2`` times those of single bodies."""
    made, one = prior_layout(frames, bodies), model.layout["trajectory"]
    body, overlap = made["trajectory"], WINDOW - STRIDE
    energy = model.energy.float()

    def chain(window: Energy, between: Energy | None, part: View) -> Energy:
        if frames == WINDOW:
            return window.on(part)
        inner = part[STRIDE:-STRIDE]
        return window.on(part.windows(WINDOW, STRIDE)) - between.on(inner.windows(overlap, STRIDE))

    if bodies == 2:
        ours = chain(energy, energy.marginal(one[:overlap]), body)
    else:
        single, short = energy.marginal(one[:, 0]), energy.marginal(one[:overlap, 0])
        pairs = chain(energy, energy.marginal(one[:overlap]), body.pairs(axis=1))
        ours = pairs - float(bodies - 2) * chain(single, short, body.each(axis=1))
    return Composed(made, Averaged(energy, view(body)), ours)
