"""What is asked of an airfoil: operating points to serve and requirements to meet, as torch functions.

A requirement is a margin: positive where it is met. The same functions guide the samples, judge them, and are given to
the classical optimisers that the benchmark compares with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from . import cst
from .aero import Aero

__all__ = ["DEFAULT_POINTS", "AtLift", "Point", "Requirements", "at_lift", "near_lift"]

LIFTS = (-0.3, 1.5)
REYNOLDS = (1e5, 1e7)
AFT = 0.9
SMOOTH = 0.01  # of log drag a degree: rounds the corner at the polar's lowest drag


@dataclass(frozen=True)
class Point:
    """An operating point: the lift coefficient to carry and the chord Reynolds number to carry it at.

    Raises ValueError outside what the training polars reach: lift -0.3 to 1.5, Reynolds number 1e5 to 1e7.
    """

    cl: float
    reynolds: float

    def __post_init__(self) -> None:
        if not LIFTS[0] <= self.cl <= LIFTS[1]:
            raise ValueError(f"got a lift coefficient of {self.cl:g}; expected {LIFTS[0]} to {LIFTS[1]}, which the "
                             "training polars reach")
        if not REYNOLDS[0] <= self.reynolds <= REYNOLDS[1]:
            raise ValueError(f"got a Reynolds number of {self.reynolds:g}; expected {REYNOLDS[0]:g} to "
                             f"{REYNOLDS[1]:g}, the range of the training polars")

    @classmethod
    def parse(cls, text: str) -> Point:
        """``CL@RE``, as in ``0.8@1.5e6``."""
        try:
            cl, reynolds = (float(part) for part in text.split("@"))
        except ValueError:
            raise ValueError(f"got the operating point '{text}'; expected CL@RE, as in 0.8@1.5e6") from None
        return cls(cl, reynolds)

    def __str__(self) -> str:
        return f"{self.cl:g}@{self.reynolds:.3g}".replace("e+0", "e")


DEFAULT_POINTS = (Point(0.4, 3e6), Point(0.8, 1.5e6), Point(1.2, 1e6))


@dataclass(frozen=True)
class Requirements:
    """What an airfoil must keep to: it can be built, trimmed, and believed, also where the angle is a little off.

    Arguments:
        thickness: least maximum thickness, chords.
        aft_thickness: least thickness at 90 % of the chord, chords.
        trailing_edge_angle: least, degrees.
        trailing_edge_gap: least thickness of the trailing edge, chords.
        cm: lowest pitching moment about the quarter chord at any operating point (nose up is positive).
        confidence: NeuralFoil's least trust in itself at any operating point, 0 to 1.
        lift_slope: least growth of lift at any operating point, per degree; 0.11 in attached flow, falling to 0 at
            stall, of which NeuralFoil and XFOIL differ about the angle.
        slack: an error of the angle, degrees, that a design must bear: while it is sought, drag counts as what it would
            be that far up its own slope. Optima on a knife's edge, where NeuralFoil and XFOIL part, lose their appeal.
    """

    thickness: float = 0.12
    aft_thickness: float = 0.014
    trailing_edge_angle: float = 6.0
    trailing_edge_gap: float = 0.001
    cm: float = -0.133
    confidence: float = 0.9
    lift_slope: float = 0.09
    slack: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.thickness < 0.4:
            raise ValueError(f"got a least thickness of {self.thickness:g}; expected 0 to 0.4 chords")
        if not 0 <= self.trailing_edge_gap < 0.05:
            raise ValueError(f"got a least trailing-edge gap of {self.trailing_edge_gap:g}; expected 0 to 0.05 chords")
        if not -1 < self.cm < 1:
            raise ValueError(f"got a lowest pitching moment of {self.cm:g}; expected -1 to 1")
        if not 0 <= self.slack <= 5:
            raise ValueError(f"got a slack of the angle of {self.slack:g} degrees; expected 0 to 5")

    def shape_margins(self, shape: Tensor) -> Tensor:
        """``(*B, 18) -> (*B, 5)``: maximum, aft and least thickness (chords), edge angle (radians), edge gap."""
        aft = cst.thickness(shape, shape.new_tensor([AFT]))[..., 0]
        angle = torch.deg2rad(cst.trailing_edge_angle(shape) - self.trailing_edge_angle)
        return torch.stack([cst.max_thickness(shape) - self.thickness, aft - self.aft_thickness,
                            cst.least_thickness(shape), angle, shape[..., -1] - self.trailing_edge_gap], dim=-1)

    def opened(self, shape: Tensor) -> Tensor:
        """``shape (*B, 18)``, its trailing edge no thinner than required."""
        return torch.cat([shape[..., :-1], shape[..., -1:].clamp_min(self.trailing_edge_gap)], dim=-1)

    def flow_margins(self, cm: Tensor, confidence: Tensor, lift_slope: Tensor) -> Tensor:
        """``(*B, K)`` each to ``(*B, 3)``: the worst operating point's moment, confidence and slope of lift."""
        return torch.stack([cm.amin(-1) - self.cm, confidence.amin(-1) - self.confidence,
                            lift_slope.amin(-1) - self.lift_slope], dim=-1)

    def borne(self, log_cd: Tensor, slope: Tensor) -> Tensor:
        """Log drag ``slack`` degrees up its own ``slope`` (a degree), either way; a smooth function of both."""
        return log_cd + self.slack * (slope**2 + SMOOTH**2).sqrt() if self.slack else log_cd


class AtLift(NamedTuple):
    """An airfoil at a lift, ``(*B, K)`` each: angle (degrees), log drag, moment, confidence, lift per degree."""

    alpha: Tensor
    log_cd: Tensor
    cm: Tensor
    confidence: Tensor
    lift_slope: Tensor


def at_lift(polar: Tensor, alpha: Tensor, cl: Tensor) -> AtLift:
    """Where a polar trajectory first climbs to a lift, by linear interpolation.

    Arguments:
        polar: ``(*B, K, A, 4)``: lift, log drag, moment, confidence.
        alpha: ``(A,)``, the rising angles, degrees.
        cl: ``(K,)``, the lift asked for; out of reach, the interval that comes nearest is extended to it.
    """
    alpha, cl = alpha.to(polar), cl.to(polar)
    polar = torch.cat([polar, alpha[:, None].expand(*polar.shape[:-1], 1)], dim=-1)
    low, high = polar[..., :-1, :], polar[..., 1:, :]
    gap_low, gap_high = low[..., 0] - cl[:, None], high[..., 0] - cl[:, None]
    climbs = (gap_low <= 0) & (gap_high > 0)
    place = torch.arange(climbs.shape[-1], device=polar.device)
    score = torch.where(climbs, place - 1e6, torch.minimum(gap_low.abs(), gap_high.abs()))
    pick = score.argmin(-1)[..., None, None].expand(*score.shape[:-1], 1, 5)
    low, high = low.gather(-2, pick)[..., 0, :], high.gather(-2, pick)[..., 0, :]
    rise = high[..., 0] - low[..., 0]
    share = ((cl - low[..., 0]) / torch.where(rise.abs() < 0.01, 0.01, rise)).clamp(-2, 3)
    _, log_cd, cm, confidence, angle = (low + share[..., None] * (high - low)).unbind(-1)
    return AtLift(angle, log_cd, cm, confidence, rise / (high[..., 4] - low[..., 4]))


def near_lift(aero: Callable[..., Aero], shape: Tensor, alpha: Tensor, cl: Tensor, reynolds: Tensor
              ) -> tuple[AtLift, Tensor, Tensor]:
    """An airfoil at a lift from one evaluation near it: :class:`AtLift`, the lift's gap, log drag's slope per degree.

    One Newton step: the angle that is returned is off by the square of the gap, and so is the rest. ``shape (*B, 18)``,
    ``alpha (*B, K)`` degrees, ``cl, reynolds (K,)``.
    """
    def flow(angle: Tensor) -> tuple[Tensor, ...]:
        out = aero(shape[..., None, :], angle, reynolds)
        return out.cl, out.log_cd, out.cm, out.confidence

    values, slopes = torch.func.jvp(flow, (alpha,), (torch.ones_like(alpha),))
    gap = cl - values[0]
    turn = gap / slopes[0].clamp_min(0.02)
    turn = turn / (1 + turn.abs())  # at most a degree: beyond, the slopes tell nothing
    return AtLift(alpha + turn, *(v + turn * s for v, s in zip(values[1:], slopes[1:])), slopes[0]), gap, slopes[1]
