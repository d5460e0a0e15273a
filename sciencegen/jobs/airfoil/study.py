r"""Airfoils for several operating points, in three steps: compose and sample, refine by the referee, judge.

1. *Compose.* The prior was trained on one operating condition at a time. Given the shape, conditions are independent,
   so several at once are ``polar.on(shape & op.each()) - (K - 1) * shape_prior.on(shape)``; the objective's gradients
   guide the samples through the polars that the prior imagines. No aerodynamic evaluation is spent.
2. *Refine.* The same energy of shapes, now with NeuralFoil's aerodynamics in place of the imagined polars: Hamiltonian
   Monte Carlo at falling noise levels, each sample at its own temperature.
3. *Judge.* The angle that carries each lift is solved for, drag and margins are taken there, and the best come first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import xarray
from torch import Tensor

from ...airfoil import cst
from ...airfoil.aero import Counted, NeuralFoil
from ...airfoil.trim import drag_at_lift
from ...energy import Energy, Residual
from ...layout import Layout, Variable
from ...mcmc import HMC
from ...sample import Ancestral, Annealed, karras
from ...tasks import Constraint, Problem, Result, design
from .question import DEFAULT_POINTS, AtLift, Point, Requirements, at_lift, near_lift

__all__ = ["Study", "compose", "mean_drag"]

Objective = Callable[..., Tensor]
PINNED = 0.01
SHAPE_TOLERANCE, SHAPE_GAIN = (5e-4, 3e-4, 3e-4, 5e-3, 2e-4), (0.03, 0.01, 0.005, 0.1, 0.003)
FLOW_TOLERANCE, FLOW_GAIN = (2e-3, 1e-2), (0.05, 0.1)


def mean_drag(cd: Tensor, **_: Tensor) -> Tensor:
    """The mean drag coefficient over the operating points, ``cd (*B, K) -> (*B,)``."""
    return cd.mean(-1)


def compose(layout: Layout, energy: Energy, count: int) -> tuple[Layout, Energy]:
    """Layout and prior of one shape at ``count`` operating conditions, from those of one condition."""
    one = layout.variables
    polar, log_re = one["polar"], one["log_re"]
    many = Layout(shape=one["shape"],
                  polar=replace(polar, shape=(count, *polar.shape), dims=("point", *polar.dims)),
                  log_re=replace(log_re, shape=(count,), dims=("point",)))
    shape, op = many["shape"], many["polar"].each() & many["log_re"].each()
    prior = energy.on(shape & op)
    return many, prior - (count - 1) * energy.marginal(layout["shape"]).on(shape) if count > 1 else prior


@dataclass(frozen=True)
class Study:
    """One design question, and everything to answer it with.

    Arguments:
        layout, energy: the trained prior of one operating condition (:mod:`sciencegen.jobs.airfoil.prior`).
        points: operating points to serve.
        requirements: what every airfoil must keep to.
        objective: ``(shape (*B, 18), cd, cm, confidence (*B, K)) -> (*B,)``, positive, low is good.
        aero: the referee, counting its evaluations.
    """

    layout: Layout
    energy: Energy
    points: tuple[Point, ...] = DEFAULT_POINTS
    requirements: Requirements = Requirements()
    objective: Objective = mean_drag
    aero: Counted = field(default_factory=lambda: Counted(NeuralFoil()))

    @property
    def lifts(self) -> Tensor:
        """``(K,)``."""
        return torch.tensor([p.cl for p in self.points])

    @property
    def reynolds(self) -> Tensor:
        """``(K,)``."""
        return torch.tensor([p.reynolds for p in self.points])

    def generate(self, count: int, seeds: Tensor | None = None, weight: float = 30.0, steps: int = 40,
                 progress: bool = True) -> Result:
        """Step 1: shapes from the composed prior, guided by the polars that it imagines; samples have ``alpha`` too."""
        layout, prior = compose(self.layout, self.energy, len(self.points))
        alpha, view = torch.tensor(layout.variables["polar"].coords["alpha"]), layout["log_re"]
        wanted = (self.reynolds.log10() - view(layout.loc)) / view(layout.scale)
        pinned = Residual(lambda x: view(x) - wanted.to(x), PINNED)
        problem = Problem(layout, prior, pinned, lambda polar, **_: _named(at_lift(polar, alpha, self.lifts)))
        corrector = HMC(lambda sigma: 0.5 * sigma / (1 + sigma**2).sqrt(), adjusted=False)
        return design(problem, self._log_objective, weight, Ancestral(karras(steps, low=0.02), corrector), count,
                      constraints=self._constraints(), seeds=seeds, progress=progress)

    def refine(self, shape: Tensor, alpha: Tensor, weight: Tensor, seeds: Tensor | None = None, levels: int = 12,
               repeats: int = 2, progress: bool = True) -> Result:
        """Step 2: from ``shape (N, 18)`` and ``alpha (N, K)`` on, at inverse temperatures ``weight (N,)``."""
        layout = Layout(shape=self.layout.variables["shape"], alpha=Variable((len(self.points),), scale=2.0))
        prior = self.energy.marginal(self.layout["shape"]).on(layout["shape"])
        problem = Problem(layout, prior, derive=lambda shape, alpha: self._near(shape, alpha))
        near = Constraint(lambda gap, **_: gap.abs(), tolerance=0.03, gain=0.1)
        sampler = Annealed(karras(levels, low=0.02, high=0.5), HMC(lambda s: 0.25 * s, leaps=4, repeats=repeats))
        return design(problem, self._log_objective, lambda sigma: weight[:, None], sampler, len(shape),
                      constraints=[*self._constraints(), near], seeds=seeds, progress=progress,
                      start=layout.pack(shape=shape, alpha=alpha).float())

    def judge(self, shape: Tensor) -> xarray.Dataset:
        """Step 3: ``shape (N, 18)`` at its operating points; dims ``sample``, ``point``, ``weight``.

        ``feasible`` where every lift is carried and every requirement met, up to the tolerances of the constraints.
        """
        with torch.no_grad():
            trim = drag_at_lift(self.aero, shape[:, None], self.lifts, self.reynolds)
            fun = self.objective(shape=shape, cd=trim.cd, cm=trim.cm, confidence=trim.confidence)
            carried = ((trim.cl - self.lifts).abs() < 2e-3).all(-1)
            met = carried & (self.requirements.shape_margins(shape) >= -torch.tensor(SHAPE_TOLERANCE)).all(-1) \
                & (self.requirements.flow_margins(trim.cm, trim.confidence) >= -torch.tensor(FLOW_TOLERANCE)).all(-1)
        at_points = {k: (("sample", "point"), getattr(trim, k).numpy()) for k in ("alpha", "cl", "cd", "cm", "confidence")}
        return xarray.Dataset(
            {"shape": (("sample", "weight"), shape.numpy()), **at_points, "fun": ("sample", fun.numpy()),
             "feasible": ("sample", met.numpy()), "thickness": ("sample", cst.max_thickness(shape).numpy())},
            {"target_cl": ("point", self.lifts.numpy()), "reynolds": ("point", self.reynolds.numpy())})

    def _near(self, shape: Tensor, alpha: Tensor) -> dict[str, Tensor]:
        at, gap = near_lift(self.aero, shape, alpha, self.lifts.to(shape), self.reynolds.to(shape))
        return _named(at) | {"gap": gap}

    def _log_objective(self, shape: Tensor, cd: Tensor, cm: Tensor, confidence: Tensor, **_: Tensor) -> Tensor:
        return torch.log(self.objective(shape=shape, cd=cd, cm=cm, confidence=confidence))

    def _constraints(self) -> list[Constraint]:
        need = self.requirements
        return [Constraint(lambda shape, **_: -need.shape_margins(shape), torch.tensor(SHAPE_TOLERANCE),
                           torch.tensor(SHAPE_GAIN)),
                Constraint(lambda cm, confidence, **_: -need.flow_margins(cm, confidence),
                           torch.tensor(FLOW_TOLERANCE), torch.tensor(FLOW_GAIN))]


def _named(at: AtLift) -> dict[str, Tensor]:
    return {"angle": at.alpha, "cd": at.log_cd.exp(), "cm": at.cm, "confidence": at.confidence}


def temperatures(count: int, coldest: float = 1000.0, warmest: float = 60.0) -> Tensor:
    """Inverse temperatures ``(count,)``: half of the samples at the coldest, the rest log-spaced down to the warmest."""
    ladder = np.geomspace(coldest, warmest, max(count // 2, 1))
    return torch.tensor(np.concatenate([np.full(count - len(ladder), coldest), ladder]), dtype=torch.float32)
