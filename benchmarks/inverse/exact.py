r"""Bayes' answer in closed form for linear equations with Gaussian sources, and Gaussians as priors.

With ``a = F z``, ``u = M a``, ``z ~ N(0, 1)`` and data ``y = S (a, u) + noise`` everything is a map of ``z``: the
posterior mean is ``B^T (B B^T + noise^2)^{-1} y`` with ``B = S (F, M F)``, and a sample is a fresh ``z`` moved by its
own misfit (Matheron's rule). No sampler, no network: the floor of every other row.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from sciencegen.exact import Gaussian
from sciencegen.layout import Layout, Variable
from sciencegen.physics import Heat
from sciencegen.random import Streams
from sciencegen.studies.pde.pairs import pair_layout, pairs
from sciencegen.studies.pde.prior import gaussian, setup

from .row import Answer
from .task import GRID, Question, System, Task

TINY = 1e-10  # variance beyond the axes, in the layout's units


@lru_cache(4)
def factors(system: System) -> tuple[Tensor, Tensor]:
    """``F, M F (n^2, n^2)``: what takes white noise to ``a`` and to ``u``."""
    F = (system.starts() if isinstance(system, Heat) else system.sources()).factor()
    if isinstance(system, Heat):
        return F, system.advance(F.mT.unflatten(-1, (GRID, GRID))).flatten(-2).mT
    return F, system.matrix() @ F


@lru_cache(4)
def closed(system: System) -> tuple[Layout, Gaussian]:
    """The exact joint law of ``(a, u)``, of heat's ``a`` alone, in units of its spread; float64."""
    blocks = [factors(system)[0]] if isinstance(system, Heat) else list(factors(system))
    unit = [float(block.square().sum(-1).mean().sqrt()) for block in blocks]
    layout = Layout(**{k: Variable((GRID, GRID), scale=s, dims=("x", "y")) for k, s in zip("au", unit)})
    axes, spread, _ = torch.linalg.svd(torch.cat([block / s for block, s in zip(blocks, unit)]), full_matrices=False)
    zeros = torch.zeros(layout.size, dtype=torch.float64)
    if len(axes) == axes.shape[1]:
        return layout, Gaussian(zeros, (axes * spread**2) @ axes.mT)
    return layout, Gaussian(zeros, torch.cat([spread**2, spread.new_tensor([TINY])]), axes)


@lru_cache(2)
def fitted(name: str, count: int = 4000) -> tuple[Layout, Gaussian]:
    """The Gaussian of ``count`` training pairs of a system and their turns, as the trained priors have it."""
    recipe = setup(name, GRID)
    made = pairs(recipe.system, count, 0)
    layout = pair_layout(recipe.system, made)
    split = [v.size for v in layout.variables.values()]
    return layout, gaussian(layout.pack(**made), recipe.orders, split, recipe.ranks)


@dataclass(frozen=True)
class Bayes:
    """The closed form; its single samples lie a root of two above its mean."""

    samples: int = 19
    name: str = "exact Bayes"

    def suits(self, task: Task) -> bool:
        """Linear equations."""
        return task.linear

    def __call__(self, question: Question) -> Answer:
        system = question.task.system
        F, MF = factors(system)
        B = self._seen(question, F, MF)
        gain = torch.linalg.solve(B @ B.mT + question.noise.square().diag(), B).mT
        mean = question.data @ gain.mT
        rows = Streams(torch.arange(len(mean) * self.samples) + question.first * self.samples)
        z = rows.normal(F.shape[1]).unflatten(0, (len(mean), self.samples))
        error = question.noise * rows.at(1).normal(len(question.noise)).unflatten(0, (len(mean), self.samples))
        z = z + (question.data[:, None] + error - z @ B.mT) @ gain.mT
        parts = {"a": F} if isinstance(system, Heat) else {"a": F, "u": MF}
        field = lambda white, block: (white @ block.mT).unflatten(-1, (GRID, GRID))
        return Answer({k: field(z, v) for k, v in parts.items()}, {k: field(mean, v) for k, v in parts.items()})

    def _seen(self, question: Question, F: Tensor, MF: Tensor) -> Tensor:
        if isinstance(question.task.system, Heat):  # the data are the coefficients of the later state
            return question.task.system.basis.expand(MF.mT.unflatten(-1, (GRID, GRID))).flatten(-2).mT
        return torch.cat([{"a": F, "u": MF}[name][cells] for name, cells in question.where.items()])
