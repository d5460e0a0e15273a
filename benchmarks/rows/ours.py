"""This package: one energy, composed over the operating points, and the same without composition."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from sciencegen.jobs.airfoil.study import Study

from .row import MANY


@dataclass(frozen=True)
class Composed:
    """``Study.run``: compose and sample, refine by the referee, judge. Its evaluations are every other row's budget."""

    learned: ClassVar[bool] = True
    seeds: ClassVar[int] = MANY
    name: str

    def __call__(self, study: Study, budget: int, count: int, seed: int) -> Tensor:
        """All ``count`` designs; the budget is not looked at, it follows from ``count``."""
        return _run(study, count, seed)


@dataclass(frozen=True)
class Apart:
    """Every operating point designs alone, ``count`` airfoils each; all of them are judged at all points."""

    learned: ClassVar[bool] = True
    seeds: ClassVar[int] = MANY
    name: str

    def __call__(self, study: Study, budget: int, count: int, seed: int) -> Tensor:
        """``(K * count, 18)``."""
        return torch.cat([_run(replace(study, points=(point,)), count, seed) for point in study.points])


def _run(study: Study, count: int, seed: int) -> Tensor:
    designs = study.run(count, seeds=torch.arange(count) + seed * count, progress=False)
    return torch.as_tensor(designs.samples["shape"].values).float()
