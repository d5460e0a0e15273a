"""What a row of the airfoil table is, and what classical rows share: starts, drag at lift, margins of order one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from sciencegen.airfoil.conditions import AtLift, at_lift
from sciencegen.studies.airfoil.constraints import FLOW_GAIN, FLOW_TOLERANCE, HARD, SHAPE_GAIN, SHAPE_TOLERANCE
from sciencegen.studies.airfoil.prior import recorded
from sciencegen.studies.airfoil.study import AirfoilStudy

# The referee lets all margins but the hard ones fall short by a tolerance. Who optimises is told, but for a share lost
# to rounding.
USED, ROUNDING = 0.9, 1e-6
ALLOWED = tuple(-ROUNDING if hard else USED * tolerance for tolerance, hard in zip(SHAPE_TOLERANCE, HARD))
MANY = 1000
ANGLES = torch.arange(-6.0, 19.0)  # of the recorded polars, degrees


class Row(Protocol):
    """A way to answer the question. Every aerodynamic evaluation goes through the study, which counts it.

    Called with the study (what it evaluates by new, the counts at zero), the most rows it may evaluate, how many
    designs are wanted of methods that choose their number, and a seed; returns shapes ``(n, 18)`` in float32.

    ``learned`` says whether it needs the trained prior, ``ordered`` whether it knows itself which of its designs to
    hand over first, ``seeds`` how many seeds are worth running.
    """

    name: str
    learned: bool
    ordered: bool
    seeds: int

    def __call__(self, study: AirfoilStudy, budget: int, count: int, seed: int) -> Tensor: ...


class Spent(Exception):
    """The next evaluation would go beyond the budget."""


class Start(NamedTuple):
    """Training airfoils ``shape (N, 18)`` and what their recorded polars say at the study's points, each ``(N, K)``."""

    shape: Tensor
    at: AtLift


@dataclass(frozen=True)
class Collection:
    """The training airfoils of ``datasets/airfoils.nc`` and their recorded polars, which cost no evaluation."""

    file: Path

    @cached_property
    def rows(self) -> dict[str, Tensor]:
        """Shape ``(N, 18)``, polar ``(N, C, 25, 4)`` and log_re ``(N, C)``."""
        rows = recorded(self.file, "train")
        conditions = int((rows["shape"] == rows["shape"][0]).all(-1).sum())
        return {k: v.unflatten(0, (-1, conditions)) for k, v in rows.items()} | {
            "shape": rows["shape"][::conditions]}

    @property
    def shapes(self) -> Tensor:
        """``(N, 18)``."""
        return self.rows["shape"]

    def at_points(self, study: AirfoilStudy) -> Start:
        """The airfoils at the study's points, by interpolating their polars in log Re and then in lift."""
        log_re, wanted = self.rows["log_re"], study.reynolds.log10()
        right = (log_re[:, None] < wanted[:, None]).sum(-1).clamp(1, log_re.shape[1] - 1)
        low, high = log_re.gather(1, right - 1), log_re.gather(1, right)
        share = ((wanted - low) / (high - low)).clamp(0, 1)[..., None, None]
        number = torch.arange(len(log_re))[:, None]
        polar = self.rows["polar"][number, right - 1].lerp(self.rows["polar"][number, right], share)
        return Start(self.shapes, at_lift(polar, ANGLES, study.lifts))


def shape_shortfall(study: AirfoilStudy, shape: Tensor) -> Tensor:
    """``(*B, 18) -> (*B, 5)``: the shape's margins over what the referee lets pass, of order one; negative is bad."""
    margins = study.requirements.shape_margins(shape)
    return (margins + margins.new_tensor(ALLOWED)) / margins.new_tensor(SHAPE_GAIN)


def flow_shortfall(study: AirfoilStudy, cm: Tensor, confidence: Tensor, lift_slope: Tensor) -> Tensor:
    """``(*B, K)`` each to ``(*B, 3 K)``: as :func:`shape_shortfall`, of each operating point's flow."""
    need = study.requirements
    parts = [(value - least + USED * tolerance) / gain for value, least, tolerance, gain
             in zip((cm, confidence, lift_slope), (need.cm, need.confidence, need.lift_slope), FLOW_TOLERANCE,
                    FLOW_GAIN)]
    return torch.cat(parts, dim=-1)


def buildable(study: AirfoilStudy, shape: Tensor) -> Tensor:
    """``(*B,)``: whether the shape alone meets the requirements; costs no aerodynamic evaluation."""
    return (shape_shortfall(study, shape) >= 0).all(-1)


def affordable(study: AirfoilStudy, shape: Tensor, budget: int) -> int:
    """How many shapes ``budget`` rows can judge, one at least, found by judging one."""
    before = study.evaluations
    study.judge(shape[:1])
    price = study.evaluations - before
    return max((budget - study.evaluations) // price, 1)


def judged_best(study: AirfoilStudy, shape: Tensor, count: int) -> Tensor:
    """The best ``count`` of ``shape (n, 18)`` by the study's own (counted) referee, feasible ones first."""
    judged = study.judge(shape)
    fun = torch.as_tensor(judged["fun"].values) + 1e3 * ~torch.as_tensor(judged["feasible"].values)
    return torch.as_tensor(judged["shape"].values)[fun.argsort()[:count]]
