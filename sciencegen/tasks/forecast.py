"""Forecast: an inverse problem whose readings are the first steps."""

from __future__ import annotations

import torch
from torch import Tensor

from ..measure import Entries
from ..problem import Problem
from ..result import Result
from ..sample import Sampler
from ..values import finite
from .invert import invert

__all__ = ["forecast"]


def forecast(problem: Problem, name: str, history: Tensor, sampler: Sampler, count: int, seeds: Tensor | None = None,
             progress: bool = True, noise: float = 1e-3, device: torch.device | str | None = None) -> Result:
    """Samples of how a variable goes on: ``history (n, *rest)`` are the first ``n`` steps of ``name``, in its unit.

    ``noise`` says how closely the history is met, in the variable's scale.
    """
    layout, history = problem.layout, finite("history", history)
    where, variable = layout[name], layout.variables[name]
    if history.ndim < 1 or history.shape != (len(history), *variable.shape[1:]) or len(history) > variable.shape[0]:
        raise ValueError(f"got a history of shape {tuple(history.shape)} of '{name}'; expected (n, "
                         f"{', '.join(map(str, variable.shape[1:]))}) with n <= {variable.shape[0]}")
    first = where[: len(history)]
    return invert(problem, Entries(name, slice(len(history))), history.flatten(),
                  noise * first(layout.scale), sampler, count, seeds, progress, device=device)
