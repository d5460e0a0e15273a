"""Draw: samples of a prior as it is, without a question."""

from __future__ import annotations

import torch
from torch import Tensor

from ..problem import Problem
from ..result import Result
from ..sample import Sampler
from .doors import check_count
from .sampling import Sampling

__all__ = ["draw"]


def draw(problem: Problem, sampler: Sampler, count: int, seeds: Tensor | None = None, progress: bool = True,
         device: torch.device | str | None = None) -> Result:
    """``count`` samples of a problem's prior, where something is given of what is left; laws are not part of it.

    What the prior tells of its evaluations is in the result's history; ``success`` says that a sample is finite.

    Arguments:
        sampler: noise grid, step and corrector.
        seeds: ``(count,)`` one random stream a sample; fresh ones by default.
        progress: show a bar where there is a terminal.
        device: where to run; the prior's unless given.
    """
    problem = problem.to(device)
    count, energy = check_count(count, problem.size, seeds), problem.energy()
    run = Sampling(energy, problem, lambda x, sigma, noise: energy.refreshed(energy.mean(x, sigma), noise, sampler))
    x = run(sampler, count, seeds, None, progress, "draw")
    return run.result(x, torch.full((count,), torch.nan), x.isfinite().all(-1), torch.arange(count),
                      asked={"task": "draw"})
