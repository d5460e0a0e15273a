"""CMA-ES: the evolution strategy that one tries when there are no gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from sciencegen.airfoil.conditions import AtLift, near_lift
from sciencegen.studies.airfoil.study import AirfoilStudy

from .row import MANY, Collection, flow_shortfall, shape_shortfall

LIFT = 0.02  # as far as a lift may be off to count as carried while searching; the unit of its penalty
UNREACHED = 1e6


@dataclass(frozen=True)
class Restarts:
    """CMA-ES on the 18 numbers, whitened by the training shapes' covariance; restarted until the budget is spent.

    The objective is log mean drag (borne with the requirements' slack) plus the sum of what requirements (of order
    one) and lifts fall short by. The angle
    at a lift is found by Newton's method from the angle of the population's best: two evaluations a point, a fourteenth
    of what a search from nothing costs. Returns the ten best feasible shapes of all that were evaluated, then the best
    of each restart. "The CMA Evolution Strategy: A Tutorial" (Hansen, 2016), https://arxiv.org/abs/1604.00772; package
    cma (Hansen et al.).

    Arguments:
        width: first step, in standard deviations of the training shapes.
        penalty: of a shortfall of one unit, in units of log drag.
        newton: steps to a lift.
    """

    learned: ClassVar[bool] = False
    ordered: ClassVar[bool] = False
    seeds: ClassVar[int] = MANY
    name: str
    data: Collection
    width: float = 0.3
    penalty: float = 2.0
    newton: int = 2
    best: int = 10

    def __call__(self, study: AirfoilStudy, budget: int, count: int, seed: int) -> Tensor:
        """``(10 + restarts, 18)``, or fewer."""
        start, axes = self.data.at_points(study), self._axes()
        order = torch.randperm(len(start.shape), generator=torch.Generator().manual_seed(seed)).tolist()
        seen: list[tuple[Tensor, Tensor, Tensor]] = []
        ends = []
        for restart, number in enumerate(order):
            first = (start.shape[number], start.at.alpha[number])
            found = self._descend(study, budget, *first, axes, 1000 * seed + restart)
            if not found:
                break
            seen += found
            ends.append(_top(found, 1))
        return torch.cat([_top(seen, self.best), *ends]).unique(dim=0) if seen else start.shape[order[:1]]

    def _axes(self) -> Tensor:
        values, vectors = torch.linalg.eigh(torch.cov(self.data.shapes.double().T))
        return vectors * values.clamp_min(1e-12).sqrt()

    def _descend(self, study: AirfoilStudy, budget: int, shape: Tensor, alpha: Tensor, axes: Tensor, seed: int
                 ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """One run; every generation's shapes, their penalised objective and whether they seem feasible."""
        import cma

        search = cma.CMAEvolutionStrategy(np.zeros(18), self.width, {"seed": seed + 1, "verbose": -9, "tolfun": 1e-5})
        generations = []
        while not search.stop() and study.aero.rows + self._price(study, search.popsize) <= budget:
            asked = search.ask()
            shapes = (shape + torch.as_tensor(np.array(asked)) @ axes.T).float()
            value, met, angles = self._evaluate(study, shapes, alpha)
            search.tell(asked, value.double().tolist())
            generations.append((shapes, value, met))
            alpha = angles[value.argmin()]
        return generations

    def _price(self, study: AirfoilStudy, shapes: int) -> int:
        return self.newton * shapes * len(study.points)

    @torch.no_grad()
    def _evaluate(self, study: AirfoilStudy, shapes: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Penalised objective, whether all is met, and angles ``(n, K)``."""
        at, gap = self._at_lift(study, shapes, alpha.repeat(len(shapes), 1))
        fun = study.objective(shape=shapes, cd=at.log_cd.exp(), cm=at.cm, confidence=at.confidence)
        flow = flow_shortfall(study, at.cm, at.confidence, at.lift_slope)
        short = torch.cat([shape_shortfall(study, shapes), flow], dim=-1)
        missed = (gap.abs() / LIFT - 1).clamp_min(0).sum(-1)
        value = fun.log() + self.penalty * (short.clamp_max(0).neg().sum(-1) + missed)
        return value.nan_to_num(UNREACHED), (short >= 0).all(-1) & (missed == 0), at.alpha

    def _at_lift(self, study: AirfoilStudy, shapes: Tensor, alpha: Tensor) -> tuple[AtLift, Tensor]:
        for _ in range(self.newton):
            at, gap, slope = near_lift(study.aero, shapes, alpha, study.lifts, study.reynolds)
            alpha = at.alpha
        return at._replace(log_cd=study.requirements.borne(at.log_cd, slope)), gap


def _top(generations: list[tuple[Tensor, Tensor, Tensor]], count: int) -> Tensor:
    """The best ``count`` shapes, those that seem feasible first."""
    shapes, value, met = (torch.cat(column) for column in zip(*generations))
    return shapes[(value + 2 * UNREACHED * ~met).argsort()[:count]]
