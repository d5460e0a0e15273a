"""Constraints of an airfoil as terms of an energy, and why a finished one is rejected."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ...airfoil.conditions import AtLift, Requirements
from ...tasks import Constraint

__all__ = ["Objective", "angle_error", "limits", "log_of", "mean_drag", "named", "rejected"]

Objective = Callable[..., Tensor]
SHAPE_TOLERANCE, SHAPE_GAIN = (5e-4, 3e-4, 3e-4, 5e-3, 2e-4), (0.03, 0.01, 0.005, 0.1, 0.003)
FLOW_TOLERANCE, FLOW_GAIN = (2e-3, 1e-2, 2e-3), (0.05, 0.1, 0.02)
# Margins of the shape that the judge never forgives: sides that cross, an edge thinner than asked.
HARD = (False, False, True, False, True)
LIFT = 2e-3  # by which a lift may be missed
SHAPE_WORDS = ("too thin", "too thin at 90 % of the chord", "its sides cross", "too sharp a trailing edge",
               "too thin a trailing edge")
FLOW_WORDS = ("too low a pitching moment", "NeuralFoil is not confident", "too near stall")


def mean_drag(cd: Tensor, **_: Tensor) -> Tensor:
    """The mean drag coefficient over the operating points, ``cd (*B, K) -> (*B,)``."""
    return cd.mean(-1)


def log_of(objective: Objective) -> Objective:
    """The logarithm of an objective, whose inverse temperature needs no unit."""
    return lambda shape, cd, cm, confidence, **_: torch.log(objective(shape=shape, cd=cd, cm=cm, confidence=confidence))


def named(at: AtLift) -> dict[str, Tensor]:
    """An airfoil at its lifts as the parts that objective and constraints see."""
    return {"angle": at.alpha, "cd": at.log_cd.exp(), "cm": at.cm, "confidence": at.confidence,
            "lift_slope": at.lift_slope}


def limits(need: Requirements, stiffness: float = 1.0) -> list[Constraint]:
    """The requirements of shape and flow; aimed at by one tolerance more than asked, because a penalty gives way."""
    shape_by, flow_by = (torch.tensor(t) for t in (SHAPE_TOLERANCE, FLOW_TOLERANCE))
    shape_gain, flow_gain = (torch.tensor(g) / stiffness for g in (SHAPE_GAIN, FLOW_GAIN))
    return [Constraint(lambda shape, **_: shape_by.to(shape) - need.shape_margins(shape), shape_by / stiffness,
                       shape_gain, "limits of the shape"),
            Constraint(lambda cm, confidence, lift_slope, **_:
                       flow_by.to(cm) - need.flow_margins(cm, confidence, lift_slope),
                       flow_by / stiffness, flow_gain, "limits of the flow")]


def angle_error() -> Constraint:
    """The lift's gap at an angle that is refined beside the shape; looser, slopes are cheated."""
    return Constraint(lambda gap, **_: gap.abs(), tolerance=0.0015, gain=0.015, name="lift")


def rejected(need: Requirements, shape: Tensor, gap: Tensor, cm: Tensor, confidence: Tensor, slope: Tensor
             ) -> np.ndarray:
    """Why airfoils ``(N, 18)`` at their lifts are rejected, ``(N,)`` texts, empty where all requirements are met.

    Up to the tolerances of the constraints; what is :data:`HARD` is never forgiven. ``gap (N, K)`` is by how much lifts
    are missed.
    """
    forgiven = torch.tensor(SHAPE_TOLERANCE).masked_fill(torch.tensor(HARD), 0.0)
    faults = torch.cat([~(gap.abs() < LIFT).all(-1, keepdim=True), ~(need.shape_margins(shape) >= -forgiven),
                        ~(need.flow_margins(cm, confidence, slope) >= -torch.tensor(FLOW_TOLERANCE))], -1).numpy()
    words = np.array(["does not carry the lift", *SHAPE_WORDS, *FLOW_WORDS], dtype=object)
    return np.array(["; ".join(words[row]) for row in faults], dtype=object)
