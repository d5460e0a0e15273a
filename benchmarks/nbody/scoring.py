r"""What is measured of a design of discs in a box: a trajectory, of which only the start is believed.

The start is simulated anew. The *objective* is the mean distance of the bodies from a target, the centre unless told
otherwise, in the last simulated frame; the *MAE* is how far the design is from the simulation, over frames, bodies and
features. Both by two protocols: *aligned* takes frame ``k`` of the simulation at the engine's step ``4 k``, where the
data have it; the *original's* at ``4 k - 1``, one step early, so that a perfect design scores 0.004 and more. Slow
bodies are easy: packed round the centre and at rest they nearly reach the least possible objective, with an MAE of 0.
So the objective is also given at *matched energy*, each body set off in its direction at the data's rms speed.

An engine lets discs sink into one another and an answer hang on its step. So the objective is also given by an engine
of a four times finer step (*finer*), and whether discs are in one another in the last frame by either (*sunk*).

Over a long time collisions amplify any error, whatever the physics of the design; the *residual* begins anew at every
frame and does not. References: "Compositional Generative Inverse Design" (Wu et al., 2024),
https://arxiv.org/abs/2401.13171, for objective and MAE.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from sciencegen.physics import NBody

__all__ = ["CENTRE", "PIXELS", "SPEED", "Interval", "at_speed", "objective", "scores", "summary"]

SPEED = 0.4075  # root mean square of the data, box lengths a second
PIXELS = 200
CENTRE = (0.5, 0.5)
GOLDEN = math.pi * (3 - math.sqrt(5))
ROWS = 2500  # simulated at once


class Interval(NamedTuple):
    """A mean over designs and half of its 95 % interval."""

    mean: float
    half: float


def objective(trajectory: Tensor, target: tuple[float, float] = CENTRE) -> Tensor:
    """Mean distance of the bodies of the last frame from ``target``: ``(*B, T, n, 4) -> (*B,)``."""
    return (trajectory[..., -1, :, :2] - trajectory.new_tensor(target)).norm(dim=-1).mean(-1)


def at_speed(start: Tensor, speed: float = SPEED) -> Tensor:
    """``start (N, n, 4)`` with every body at ``speed``, in its own direction; bodies at rest set off all round."""
    velocity, pace = start[..., 2:], start[..., 2:].norm(dim=-1, keepdim=True)
    angle = GOLDEN * torch.arange(pace.numel(), dtype=start.dtype, device=start.device).view(pace.shape[:-1])
    around = torch.stack([angle.cos(), angle.sin()], -1)
    moving = pace > 1e-9
    heading = torch.where(moving, velocity / torch.where(moving, pace, 1.0), around)
    return torch.cat([start[..., :2], speed * heading], -1)


@torch.no_grad()
def simulated(start: Tensor, frames: int, system: NBody) -> tuple[Tensor, Tensor]:
    """Trajectories ``(N, frames, n, 4)`` from ``start (N, n, 4)``: aligned, and as the original takes them."""
    every = replace(system, steps=1)
    paths = torch.cat([every.solve(part, system.steps * (frames - 1) + 1) for part in start.split(ROWS)])
    early = torch.cat([paths[:, :1], paths[:, system.steps - 1 :: system.steps][:, : frames - 1]], 1)
    return paths[:, :: system.steps], early


@torch.no_grad()
def scores(trajectory: Tensor, target: tuple[float, float] = CENTRE, system: NBody | None = None) -> dict[str, Tensor]:
    """Of designs ``trajectory (N, T, n, 4)``, box units: each ``(N,)`` in float64, by design.

    ``objective``, ``mae`` aligned; ``finer``, the objective by the finer engine; ``sunk``, whether discs are in one
    another at the end by either engine (deeper than a hundredth of the radius); ``objective_original``,
    ``mae_original`` by the original's protocol; ``matched``, the objective at matched energy; ``residual``, rms over
    frames, bodies and features (:meth:`NBody.residual`); ``energy``, the initial mean square speed over the data's;
    ``overlap`` and ``outside``, whether the start has an overlap of bodies or of a body and a wall (deeper than the
    engine's slop); ``drift``, the largest change of the design's own kinetic energy, over the data's; ``diversity``,
    mean rms distance of the start to the other designs'.
    ``ValueError`` where the shape is none of designs.
    """
    system = system or NBody()
    if trajectory.ndim != 4 or trajectory.shape[-1] != 4 or trajectory.shape[1] < 2:
        raise ValueError(f"got designs of shape {tuple(trajectory.shape)}; expected (designs, frames, bodies, 4)")
    trajectory = trajectory.double()
    start, frames = trajectory[:, 0], trajectory.shape[1]
    aligned, early = simulated(start, frames, system)
    matched, _ = simulated(at_speed(start), frames, system)
    again = torch.cat([system.finer().solve(part, frames)[:, -1:] for part in start.split(ROWS)])
    sunk = torch.stack([system.overlap(end[:, -1]).amax(-1) for end in (aligned, again)]).amax(0)
    energy, natural = system.energy(trajectory), start.shape[1] * SPEED**2 / 2
    return {
        "objective": objective(aligned, target), "finer": objective(again, target),
        "sunk": (sunk > 0.01 * system.radius).double(), "mae": (aligned - trajectory).abs().mean((1, 2, 3)),
        "objective_original": objective(early, target), "mae_original": (early - trajectory).abs().mean((1, 2, 3)),
        "matched": objective(matched, target), "residual": system.residual(trajectory).norm(dim=-1),
        "energy": energy[:, 0] / natural, "overlap": _deeper(system.overlap(start), system),
        "outside": _deeper(system.outside(start), system),
        "drift": (energy - energy[:, :1]).abs().amax(1) / natural, "diversity": diversity(start),
    }  # fmt: skip


def diversity(start: Tensor) -> Tensor:
    """Mean over the other designs of the rms difference of ``start (N, n, 4)``, ``(N,)``; 0 where there is no other."""
    flat = start.flatten(1)
    return torch.cdist(flat, flat).sum(1) / max(len(flat) - 1, 1) / math.sqrt(flat.shape[1])


def summary(found: Mapping[str, Tensor]) -> dict[str, Interval]:
    """Means over designs with their 95 % intervals, and ``speed``, the rms initial speed in pixels a second."""
    table = {name: _interval(values) for name, values in found.items()}
    pace = SPEED * PIXELS * math.sqrt(table["energy"].mean)
    slope = SPEED * PIXELS / (2 * math.sqrt(table["energy"].mean)) if pace else 0.0
    return table | {"speed": Interval(pace, slope * table["energy"].half)}


def _interval(values: Tensor) -> Interval:
    spread = float(values.double().std()) if len(values) > 1 else math.nan
    return Interval(float(values.double().mean()), 1.96 * spread / math.sqrt(max(len(values), 1)))


def _deeper(depth: Tensor, system: NBody) -> Tensor:
    return (depth > system.slop).any(-1).double()
