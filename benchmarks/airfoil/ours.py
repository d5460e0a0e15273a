"""This package: one energy, composed over the operating points, and the same without composition."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from sciencegen.studies.airfoil.study import AirfoilStudy

from .row import MANY
from .scores import BEST


@dataclass(frozen=True)
class Ours:
    """``Study.run``: compose and sample, refine, judge, choose from what XFOIL confirms.

    The budget is not looked at: it follows from ``count``, and is every other row's.

    Arguments:
        together: one airfoil for all operating points; False lets every point design alone, ``count`` airfoils each,
            all of which are judged at all points, and none chosen.
    """

    learned: ClassVar[bool] = True
    seeds: ClassVar[int] = MANY
    name: str
    together: bool = True

    @property
    def ordered(self) -> bool:
        """Whether designs come in the order of the choice."""
        return self.together

    def __call__(self, study: AirfoilStudy, budget: int, count: int, seed: int) -> Tensor:
        """All ``count`` designs, or ``(K * count, 18)``."""
        seeds = torch.arange(count) + seed * count
        questions = [study.points] if self.together else [(point,) for point in study.points]
        study = replace(study, verified=BEST if self.together else 0)
        runs = [replace(study, points=points).run(count, seeds, progress=False) for points in questions]
        return torch.cat([torch.as_tensor(run.samples["shape"].values).float() for run in runs])
