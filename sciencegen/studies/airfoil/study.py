r"""Airfoils for several operating points: compose and sample, refine by NeuralFoil, judge, verify by XFOIL.

1. *Compose.* The prior was trained on one operating condition at a time. Given the shape, conditions are independent,
   so several at once are ``polar.on(shape & op.each()) - (K - 1) * shape_prior.on(shape)``; the objective's gradients
   guide the samples through the polars that the prior imagines. No aerodynamic evaluation is spent.
2. *Refine.* The same energy of shapes, now with NeuralFoil's aerodynamics in place of the imagined polars: each
   sample descends at its own temperature, the warm ones near the prior and far apart, the cold ones near the optimum.
   Half as many again are sampled, and those dropped that are worst off after a few steps: beyond stall, or where
   requirements cannot be met. NeuralFoil does not know to a tenth of lift where a laminar bucket ends, and an optimum
   sits at that end. So a third of the designs each descend in the stream for which they are judged (a critical
   amplification of 9), and in noisier ones (8, 7), where transition comes sooner: their buckets end beyond the lift.
3. *Solve.* The angle that carries each lift is solved for, drag and margins are taken there, by a larger network.
4. *Verify*, where XFOIL is asked: it says which margin was enough. Of the designs that it confirms, ten come first that
   are far apart (:mod:`.choice`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray
from torch import Tensor

from ...airfoil import Fit, cst
from ...airfoil.aero import Counted, NeuralFoil
from ...airfoil.conditions import DEFAULT_POINTS, Point, Requirements, at_lift, near_lift
from ...airfoil.trim import Search, drag_at_lift
from ...compose import superposed
from ...descent import QuasiNewton
from ...energy import Energy, Residual
from ...layout import Layout, Variable
from ...mcmc import HMC
from ...result import Result
from ...sample import Ancestral, Annealed, karras
from ...tasks import Problem
from ..stages import Compose, Decode, Keep, Refine, Solve, Stage
from ..study import PICTURE, Study
from . import report
from .choice import CANDIDATES, confirm
from .constraints import Objective, angle_error, limits, log_of, mean_drag, named, rejected
from .picture import draw
from .prior import require_condition

__all__ = ["AirfoilStudy", "compose", "mean_drag"]

PINNED, STIFFNESS = 0.01, 4.0
WEIGHT, STEPS = 10.0, 40  # of the objective, and noise levels, while polars are imagined
EARLY, LATE = 40, 100  # evaluations of each design before and after the worst are dropped
COLDEST, WARMEST = 2000.0, 200.0  # inverse temperatures
MARGINS = (9.0, 8.0, 7.0)  # critical amplifications at which designs are refined; 9 is the judge's
SPARE = 1.25  # times as many as are asked for are refined to the end
JUDGE = "xxxlarge"  # its drag of refined designs is off from XFOIL's by half as much as the default network's


def compose(layout: Layout, energy: Energy, count: int) -> tuple[Layout, Energy]:
    """Layout and prior of one shape at ``count`` operating conditions, from those of one condition."""
    many = layout.grown("polar", "log_re", copies=count, dim="point")
    return many, superposed(energy, many)


@dataclass(frozen=True)
class AirfoilStudy(Study):
    """One design question, and everything to answer it with.

    Arguments:
        layout, energy: the trained prior of one operating condition (:mod:`.prior`).
        points: operating points to serve.
        requirements: what every airfoil must keep to.
        objective: ``(shape (*B, 18), cd, cm, confidence (*B, K)) -> (*B,)``, positive, low is good.
        aero: what designs are refined by, counting its evaluations.
        referee: what judges them, counting its evaluations.
        verified: designs that XFOIL is to confirm, and that are chosen to be far apart.
        reference: name and fitted shape of an airfoil to compare with.

    Raises:
        ValueError: if ``layout`` is not that of one operating condition.
    """

    layout: Layout
    energy: Energy
    points: tuple[Point, ...] = DEFAULT_POINTS
    requirements: Requirements = Requirements()
    objective: Objective = mean_drag
    aero: Counted = field(default_factory=lambda: Counted(NeuralFoil()))
    referee: Counted = field(default_factory=lambda: Counted(NeuralFoil(JUDGE)))
    verified: int = 0
    reference: tuple[str, Fit] | None = None

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

    @property
    def stages(self) -> Sequence[Stage]:
        verify = [Decode(lambda samples: confirm(self, samples, self.verified))] if self.verified else []
        return [self._compose(), Decode(self._trimmed, instead=True), self._refine(EARLY, cold), Keep(SPARE),
                Decode(with_margins), self._refine(LATE, temperatures), Solve(self._solved), *verify]

    def _compose(self) -> Compose:
        """Shapes from the composed prior, guided by the polars that it imagines."""
        layout, prior = compose(self.layout, self.energy, len(self.points))
        view = layout["log_re"]
        wanted = (self.reynolds.log10() - view(layout.loc)) / view(layout.scale)
        pinned = Residual(lambda x: view(x) - wanted.to(x), PINNED)
        problem = Problem(layout, prior, pinned, lambda polar, **_: named(at_lift(polar, self.angles, self.lifts)))
        corrector = HMC(lambda sigma: 0.5 * sigma / (1 + sigma**2).sqrt(), adjusted=False)
        return Compose(problem, log_of(self.objective), WEIGHT, Ancestral(karras(STEPS, low=0.02), corrector),
                       limits(self.requirements))

    def _trimmed(self, samples: xarray.Dataset) -> xarray.Dataset:
        """Shapes, the angles at which their imagined polars carry the lifts, and the margin to begin with."""
        angle = at_lift(torch.tensor(samples["polar"].values), self.angles, self.lifts).alpha.clamp(-8, 16)
        middle = np.full(len(angle), np.median(MARGINS), dtype=np.float32)
        return xarray.Dataset({"shape": samples["shape"], "alpha": (("sample", "point"), angle.numpy()),
                               "n_crit": ("sample", middle)})

    def _refine(self, evaluations: int, ladder: Any) -> Refine:
        """Shapes and angles down the energy, with NeuralFoil near the lifts in the place of imagined polars."""
        layout = Layout(shape=self.layout.variables["shape"], alpha=Variable((len(self.points),), scale=2.0),
                        n_crit=Variable((), loc=9.0))
        prior = self.energy.marginal(self.layout["shape"]).on(layout["shape"])
        problem = Problem(layout, prior, derive=lambda shape, alpha, n_crit: self._near(shape, alpha, n_crit))
        return Refine(problem, log_of(self.objective), ladder,
                      Annealed(torch.tensor([0.1, 0.01]), QuasiNewton(evaluations)),
                      [*limits(self.requirements, STIFFNESS), angle_error()])

    def _near(self, shape: Tensor, alpha: Tensor, n_crit: Tensor) -> dict[str, Tensor]:
        aero = partial(self.aero, n_crit=n_crit.detach()[..., None])  # without a gradient it stays what it is
        at, gap, slope = near_lift(aero, shape, alpha, self.lifts.to(shape), self.reynolds.to(shape))
        return named(at._replace(log_cd=self.requirements.borne(at.log_cd, slope))) | {"gap": gap}

    def _solved(self, samples: xarray.Dataset) -> xarray.Dataset:
        return self.judge(self.requirements.opened(torch.tensor(samples["shape"].values))).drop_vars("feasible")

    @torch.no_grad()
    def judge(self, shape: Tensor) -> xarray.Dataset:
        """``shape (N, 18)`` at its operating points by NeuralFoil; dims ``sample``, ``point``, ``weight``.

        ``feasible`` where every lift is carried and every requirement met (:func:`.constraints.rejected`), else
        ``reason`` says what is not.
        """
        trim = drag_at_lift(self.referee, shape[:, None], self.lifts, self.reynolds, Search(coarse=29))
        slope = near_lift(self.referee, shape, trim.alpha, self.lifts, self.reynolds)[0].lift_slope
        fun = self.objective(shape=shape, cd=trim.cd, cm=trim.cm, confidence=trim.confidence)
        reason = rejected(self.requirements, shape, trim.cl - self.lifts, trim.cm, trim.confidence, slope)
        names = ("alpha", "cl", "cd", "cm", "confidence")
        values = {k: getattr(trim, k) for k in names} | {"lift_slope": slope}
        at_points = {k: (("sample", "point"), v.numpy()) for k, v in values.items()}
        return xarray.Dataset(
            {"shape": (("sample", "weight"), shape.numpy()), **at_points, "fun": ("sample", fun.numpy()),
             "feasible": ("sample", reason == ""), "reason": ("sample", reason),
             "thickness": ("sample", cst.max_thickness(shape).numpy())},
            {"target_cl": ("point", self.lifts.numpy()), "reynolds": ("point", self.reynolds.numpy())})

    @property
    def labels(self) -> Mapping[str, tuple[str, str]]:
        return report.LABELS

    def row(self, sample: xarray.Dataset) -> dict[str, str]:
        return report.row(sample)

    def draw(self, result: Result) -> tuple[Any, Any]:
        return draw(result, self.points, report.baselines(self), report.verified(result))

    def files(self, directory: Path, result: Result) -> None:
        super().files(directory, result)
        report.files(directory, result)

    def words(self, result: Result) -> str:
        return report.words(result)

    def judged(self, result: Result) -> Sequence[str]:
        return report.judged(self, result)

    def warnings(self, result: Result) -> Sequence[str]:
        return report.warnings(result)

    def captions(self, result: Result) -> Mapping[str, str]:
        return {PICTURE: report.CAPTION}

    @property
    def evaluations(self) -> int:
        """Rows of aerodynamics so far, refining and judging."""
        return self.aero.rows + self.referee.rows

    def seconds(self, count: int) -> float:
        points = len(self.points)
        return 8 + count * (0.08 + 0.08 * points) + 0.6 * CANDIDATES * self.verified * points / 2

    def config(self) -> dict[str, object]:
        told = {"points": [str(p) for p in self.points], "aero": repr(self.aero.aero),
                "referee": repr(self.referee.aero), "reference": self.reference and self.reference[0],
                "evaluations": self.evaluations}
        return super().config() | told


def with_margins(samples: xarray.Dataset) -> xarray.Dataset:
    """:data:`MARGINS` in turn, best first, so that each is refined from starts as good and as cold."""
    turns = np.resize(np.array(MARGINS, dtype=np.float32), samples.sizes["sample"])
    return xarray.Dataset({"n_crit": ("sample", turns)})


def cold(count: int) -> Tensor:
    """``(count,)``: the coldest of all."""
    return torch.full((count,), COLDEST)


def temperatures(count: int) -> Tensor:
    """Inverse temperatures ``(count,)``: half of the samples the coldest, the rest log-spaced to the warmest."""
    ladder = np.geomspace(COLDEST, WARMEST, max(count // 2, 1))
    return torch.tensor(np.concatenate([np.full(count - len(ladder), COLDEST), ladder]), dtype=torch.float32)
