"""Choosing instead of optimising: from the data set, and from samples that were not asked for anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sciencegen.layout import Layout
from sciencegen.sample import Heun, karras
from sciencegen.studies.airfoil.study import AirfoilStudy

from .row import MANY, Collection, affordable, buildable, flow_shortfall, judged_best

BATCH = 1024
MOST_DRAWN = 32  # batches


@dataclass(frozen=True)
class Retrieval:
    """The best of the data set: training airfoils, ranked by their recorded polars, the first ones judged.

    Shape requirements and recorded polars cost no evaluation; every airfoil that the budget reaches is judged.
    """

    learned: ClassVar[bool] = False
    ordered: ClassVar[bool] = False
    seeds: ClassVar[int] = 1
    name: str
    data: Collection

    def __call__(self, study: AirfoilStudy, budget: int, count: int, seed: int) -> Tensor:
        """The best ``count`` of the judged; the seed changes nothing."""
        start = self.data.at_points(study)
        fun = study.objective(shape=start.shape, cd=start.at.log_cd.exp(), cm=start.at.cm,
                              confidence=start.at.confidence)
        short = flow_shortfall(study, start.at.cm, start.at.confidence, start.at.lift_slope).clamp_max(0).neg().sum(-1)
        shape = study.requirements.opened(start.shape)  # a sharp trailing edge is no reason to leave an airfoil out
        rank = fun.log() + short + 1e3 * ~buildable(study, shape)
        return judged_best(study, shape[rank.argsort()][:affordable(study, shape, budget)], count)


@dataclass(frozen=True)
class Samples:
    """The best of N samples of the shape prior, which were guided by nothing.

    Samples whose shape does not meet the requirements are drawn again, which costs no evaluation; the rest is judged.
    """

    learned: ClassVar[bool] = True
    ordered: ClassVar[bool] = False
    seeds: ClassVar[int] = MANY
    name: str
    steps: int = 30

    def __call__(self, study: AirfoilStudy, budget: int, count: int, seed: int) -> Tensor:
        """The best ``count`` of as many samples as the budget can judge."""
        wanted, kept = affordable(study, torch.zeros(1, 18), budget), torch.empty(0, 18)
        for batch in range(MOST_DRAWN):
            if len(kept) >= wanted:
                break
            shapes = self._draw(study, torch.arange(BATCH) + (seed * MOST_DRAWN + batch) * BATCH)
            kept = torch.cat([kept, shapes[buildable(study, shapes)]])
        return judged_best(study, kept[:wanted], count)

    def _draw(self, study: AirfoilStudy, seeds: Tensor) -> Tensor:
        layout = Layout(shape=study.layout.variables["shape"])
        prior, sampler = study.energy.marginal(study.layout["shape"]), Heun(karras(self.steps, low=0.02, high=20.0))
        x = sampler(prior, sampler.start(len(seeds), layout.size, seeds), seeds)
        with torch.no_grad():
            return study.requirements.opened(layout.unpack(prior.mean(x, sampler.sigmas[-1]))["shape"].float())
