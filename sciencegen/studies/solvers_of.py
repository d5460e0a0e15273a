"""Solvers that a user names, of any kind, as torch functions of named parts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..modules import attribute
from ..solvers.solver import Solver, guarded

__all__ = ["Solve", "batched", "solver_of"]

Solve = Callable[..., Tensor]


def solver_of(path: str) -> Any:
    """What ``module:solver`` names, a class as its only object; ValueError where there is none."""
    try:
        found = attribute(path)
        return found() if isinstance(found, type) else found
    except ImportError as error:
        raise ValueError(str(error)) from error
    except TypeError as error:
        raise ValueError(f"got {path} ({error}); expected a function, or a class that is made without arguments") from (
            error)


def batched(name: str, solver: Any, shape: tuple[int, ...]) -> Solve:
    """A solver of any kind as a torch function of named parts.

    A function, a network and what has a ``measure`` take tensors ``(*B, *shape)`` and keep their gradients. Any other
    object is a :class:`sciencegen.solvers.Solver`: one case a call, of numpy arrays, without gradients.
    """
    rows_at_once = hasattr(solver, "measure") or isinstance(solver, torch.nn.Module) or inspect.isroutine(solver)
    call, wanted = getattr(solver, "measure", solver), _wanted(solver)

    def solve(**parts: Tensor) -> Tensor:
        rows = len(next(iter(parts.values())))
        parts = parts if wanted is None else {k: v for k, v in parts.items() if k in wanted}
        found = call(**parts) if rows_at_once else _each(name, solver, parts, rows)
        return torch.as_tensor(found).expand(rows, *found.shape[1:]).reshape(rows, *shape)

    return solve


def _wanted(solver: Any) -> set[str] | None:
    """The parts that a solver takes; None where it takes any."""
    if hasattr(solver, "inputs"):
        return set(solver.inputs)
    taken = inspect.signature(solver).parameters.values()
    return None if any(p.kind is p.VAR_KEYWORD for p in taken) else {p.name for p in taken}


def _each(name: str, solver: Solver, parts: Mapping[str, Tensor], rows: int) -> Tensor:
    """The answers of a solver that takes one case at a time; without gradients."""
    cases = [{k: v[row].detach().cpu().numpy() for k, v in parts.items()} for row in range(rows)]
    found = [guarded(solver, case) for case in cases]
    good = [np.asarray(result[name], float) for result in found if np.isfinite(result[name]).all()]
    if not good:
        words = found[0].log.strip().splitlines()[-1:] or ["it said nothing"]
        raise ValueError(f"got '{found[0].status}' from the solver of '{name}' in all of {rows} cases ({words[0]}); "
                         "expected numbers for some of them")
    lost = np.full_like(good[0], np.nan)
    return torch.from_numpy(np.stack([np.asarray(r[name], float) if np.isfinite(r[name]).all() else lost
                                      for r in found]))
