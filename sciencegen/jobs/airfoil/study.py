r"""Airfoils for several operating points, in three steps: compose and sample, refine by the referee, judge.

1. *Compose.* The prior was trained on one operating condition at a time. Given the shape, conditions are independent,
   so several at once are ``polar.on(shape & op.each()) - (K - 1) * shape_prior.on(shape)``; the objective's gradients
   guide the samples through the polars that the prior imagines. No aerodynamic evaluation is spent.
2. *Refine.* The same energy of shapes, now with NeuralFoil's aerodynamics in place of the imagined polars: each
   sample descends at its own temperature, the warm ones near the prior and far apart, the cold ones near the optimum.
3. *Judge.* The angle that carries each lift is solved for, drag and margins are taken there, and the best come first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import torch
import xarray
from torch import Tensor

from ...airfoil import cst
from ...airfoil.aero import Counted, NeuralFoil
from ...airfoil.trim import Search, drag_at_lift
from ...descent import QuasiNewton
from ...energy import Energy, Residual
from ...layout import Layout, Variable
from ...mcmc import HMC
from ...noise import spares
from ...sample import Ancestral, Annealed, karras
from ...tasks import Constraint, Problem, Result, design
from .prior import require_condition
from .question import DEFAULT_POINTS, AtLift, Point, Requirements, at_lift, near_lift

__all__ = ["Study", "compose", "mean_drag"]

Objective = Callable[..., Tensor]
PINNED, STIFFNESS = 0.01, 4.0
EARLY, LATE = 40, 100  # evaluations of each design before and after the worst are dropped
COLDEST, WARMEST = 2000.0, 200.0  # inverse temperatures
SHAPE_TOLERANCE, SHAPE_GAIN = (5e-4, 3e-4, 3e-4, 5e-3, 2e-4), (0.03, 0.01, 0.005, 0.1, 0.003)
FLOW_TOLERANCE, FLOW_GAIN = (2e-3, 1e-2, 2e-3), (0.05, 0.1, 0.02)
# Margins of the shape that the judge never forgives: sides that cross, an edge's gap below zero.
HARD = (False, False, True, False, True)


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

    Raises:
        ValueError: if ``layout`` is not that of one operating condition.
    """

    layout: Layout
    energy: Energy
    points: tuple[Point, ...] = DEFAULT_POINTS
    requirements: Requirements = Requirements()
    objective: Objective = mean_drag
    aero: Counted = field(default_factory=lambda: Counted(NeuralFoil()))

    def __post_init__(self) -> None:
        require_condition(self.layout)

    @property
    def lifts(self) -> Tensor:
        """``(K,)``."""
        return torch.tensor([p.cl for p in self.points])

    @property
    def reynolds(self) -> Tensor:
        """``(K,)``."""
        return torch.tensor([p.reynolds for p in self.points])

    @property
    def angles(self) -> Tensor:
        """``(A,)`` angles of attack of a polar, degrees."""
        return torch.tensor(self.layout.variables["polar"].coords["alpha"])

    def generate(self, count: int, seeds: Tensor | None = None, weight: float = 10.0, steps: int = 40,
                 progress: bool = True) -> Result:
        """Step 1: shapes from the composed prior, guided by the polars that it imagines."""
        layout, prior = compose(self.layout, self.energy, len(self.points))
        view = layout["log_re"]
        wanted = (self.reynolds.log10() - view(layout.loc)) / view(layout.scale)
        pinned = Residual(lambda x: view(x) - wanted.to(x), PINNED)
        problem = Problem(layout, prior, pinned, lambda polar, **_: _named(at_lift(polar, self.angles, self.lifts)))
        corrector = HMC(lambda sigma: 0.5 * sigma / (1 + sigma**2).sqrt(), adjusted=False)
        return design(problem, self._log_objective, weight, Ancestral(karras(steps, low=0.02), corrector), count,
                      constraints=self._constraints(), seeds=seeds, progress=progress)

    def refine(self, shape: Tensor, alpha: Tensor, weight: Tensor, steps: int = LATE, progress: bool = True) -> Result:
        """Step 2: from ``shape (N, 18)`` and ``alpha (N, K)`` on, at inverse temperatures ``weight (N,)``."""
        layout = Layout(shape=self.layout.variables["shape"], alpha=Variable((len(self.points),), scale=2.0))
        prior = self.energy.marginal(self.layout["shape"]).on(layout["shape"])
        problem = Problem(layout, prior, derive=lambda shape, alpha: self._near(shape, alpha))
        near = Constraint(lambda gap, **_: gap.abs(), tolerance=0.0015, gain=0.015)  # looser, slopes are cheated
        sampler = Annealed(torch.tensor([0.1, 0.01]), QuasiNewton(steps))
        return design(problem, self._log_objective, lambda sigma: weight[:, None], sampler, len(shape),
                      judge=lambda shape, **_: torch.arange(len(shape)),
                      constraints=[*self._constraints(STIFFNESS), near],
                      start=layout.pack(shape=shape, alpha=alpha).float(), progress=progress)

    def run(self, count: int = 64, seeds: Tensor | None = None, progress: bool = True) -> Result:
        """All three steps: ``count`` designs, feasible ones first, then by objective; samples as in :meth:`judge`.

        Half as many again are sampled, and those dropped that are worst off after a few steps of refinement: beyond
        stall, or where requirements cannot be met. Interrupted from the keyboard, what is there is judged as it is and
        marked as partial.
        """
        more = count + count // 2
        first = self.generate(more, None if seeds is None else spares(seeds, more), progress=progress)
        runs = [first.isel(np.arange(count))]
        if not first.status:
            polar = torch.tensor(first.samples["polar"].values)
            angle = at_lift(polar, self.angles, self.lifts).alpha.clamp(-8, 16)
            cold = torch.full((len(first),), COLDEST)
            early = self.refine(torch.tensor(first.samples["shape"].values), angle, cold, EARLY, progress)
            keep = np.arange(count) if early.status else reached(early).argsort()[:count]
            runs = [first.isel(keep), early.isel(keep)]
            if not early.status:
                start = (torch.tensor(runs[-1].samples[k].values) for k in ("shape", "alpha"))
                runs += [self.refine(*start, temperatures(count), LATE, progress)]
        shape = torch.tensor(runs[-1].samples["shape"].values)
        judged = self.judge(torch.cat([shape[:, :-1], shape[:, -1:].clamp_min(0)], dim=-1))
        order = np.lexsort([judged.fun.values, ~judged.feasible.values])
        judged = judged.isel(sample=order)
        history = xarray.concat([r.history for r in runs], dim="step").isel(sample=order, missing_dims="ignore")
        return replace(runs[0], samples=judged.drop_vars(["fun", "feasible"]), fun=judged.fun.values,
                       success=judged.feasible.values, status=runs[-1].status, message=runs[-1].message,
                       nfev=sum(r.nfev for r in runs), history=history, seeds=runs[0].seeds[order],
                       config=first.config | self.config(count))

    def config(self, count: int) -> dict[str, object]:
        """What was asked, for a result's record."""
        return {"points": [str(p) for p in self.points], "requirements": asdict(self.requirements), "count": count,
                "objective": self.objective.__name__, "referee": repr(self.aero.aero),
                "evaluations": self.aero.rows}

    def judge(self, shape: Tensor) -> xarray.Dataset:
        """Step 3: ``shape (N, 18)`` at its operating points; dims ``sample``, ``point``, ``weight``.

        ``feasible`` where every lift is carried and every requirement met, up to the tolerances of the constraints;
        what is ``HARD`` is never forgiven.
        """
        with torch.no_grad():
            trim = drag_at_lift(self.aero, shape[:, None], self.lifts, self.reynolds, Search(coarse=29))
            slope = near_lift(self.aero, shape, trim.alpha, self.lifts, self.reynolds)[0].lift_slope
            fun = self.objective(shape=shape, cd=trim.cd, cm=trim.cm, confidence=trim.confidence)
            forgiven = torch.tensor(SHAPE_TOLERANCE).masked_fill(torch.tensor(HARD), 0.0)
            carried = ((trim.cl - self.lifts).abs() < 2e-3).all(-1)
            met = carried & (self.requirements.shape_margins(shape) >= -forgiven).all(-1) \
                & (self.requirements.flow_margins(trim.cm, trim.confidence, slope) >= -torch.tensor(FLOW_TOLERANCE)
                   ).all(-1)
        names = ("alpha", "cl", "cd", "cm", "confidence")
        values = {k: getattr(trim, k) for k in names} | {"lift_slope": slope}
        at_points = {k: (("sample", "point"), v.numpy()) for k, v in values.items()}
        return xarray.Dataset(
            {"shape": (("sample", "weight"), shape.numpy()), **at_points, "fun": ("sample", fun.numpy()),
             "feasible": ("sample", met.numpy()), "thickness": ("sample", cst.max_thickness(shape).numpy())},
            {"target_cl": ("point", self.lifts.numpy()), "reynolds": ("point", self.reynolds.numpy())})

    def _near(self, shape: Tensor, alpha: Tensor) -> dict[str, Tensor]:
        at, gap, slope = near_lift(self.aero, shape, alpha, self.lifts.to(shape), self.reynolds.to(shape))
        return _named(at._replace(log_cd=self.requirements.borne(at.log_cd, slope))) | {"gap": gap}

    def _log_objective(self, shape: Tensor, cd: Tensor, cm: Tensor, confidence: Tensor, **_: Tensor) -> Tensor:
        return torch.log(self.objective(shape=shape, cd=cd, cm=cm, confidence=confidence))

    def _constraints(self, stiffness: float = 1.0) -> list[Constraint]:
        # Aimed at by one tolerance more than asked, because a penalty gives way under the objective.
        need, (shape_by, flow_by) = self.requirements, (torch.tensor(t) for t in (SHAPE_TOLERANCE, FLOW_TOLERANCE))
        shape_gain, flow_gain = (torch.tensor(g) / stiffness for g in (SHAPE_GAIN, FLOW_GAIN))
        return [Constraint(lambda shape, **_: shape_by.to(shape) - need.shape_margins(shape), shape_by / stiffness,
                           shape_gain),
                Constraint(lambda cm, confidence, lift_slope, **_:
                           flow_by.to(cm) - need.flow_margins(cm, confidence, lift_slope),
                           flow_by / stiffness, flow_gain)]


def _named(at: AtLift) -> dict[str, Tensor]:
    return {"angle": at.alpha, "cd": at.log_cd.exp(), "cm": at.cm, "confidence": at.confidence,
            "lift_slope": at.lift_slope}


def temperatures(count: int) -> Tensor:
    """Inverse temperatures ``(count,)``: half of the samples the coldest, the rest log-spaced to the warmest."""
    ladder = np.geomspace(COLDEST, WARMEST, max(count // 2, 1))
    return torch.tensor(np.concatenate([np.full(count - len(ladder), COLDEST), ladder]), dtype=torch.float32)


def reached(run: Result) -> np.ndarray:
    """``(sample,)``: the energy that a refinement has come down to, but for the prior's."""
    return sum(term.values[-1] for name, term in run.history.data_vars.items() if name != "acceptance")
