"""What both samplers are asked, and how their designs are scored."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sciencegen import metrics

from .ours import Ours
from .systems import Composed, Laws, Springs, System, chained

__all__ = ["Question", "exact", "scored", "trained"]

COEFFICIENTS = (0.04, 0.1, 0.2, 0.4)
# Chosen on the first question of `exact`, with an eye on the third (32 settings, seed 0), then frozen.
FEW = {"ours, 333": Ours(), "ours, 100": Ours(14, 10.0, 0.1, 1, 0.8, 60.0, 16, 0.2)}
# Chosen on the first question of `trained` (9 settings, earlier weights, other seeds), then frozen.
TRAINED = {"ours, 333": Ours(low=0.2, weight=60.0, at=0.3), "ours, 100": Ours(20, 10.0, 0.2, 0, 0.8, 60.0, 60, 0.3)}


@dataclass(frozen=True)
class Question:
    """A system, a composed prior of it, and where its bodies should end.

    Arguments:
        role: "tuned on" where settings were chosen, else what it is for.
        target: ``(2,)`` in box units.
        coefficients: of the original, all of them run; which one is best is told by the scores themselves.
        each: designs a seed, of the original for each coefficient.
        ours: the rows of this package, by name.
        prior: names the weights.
    """

    name: str
    role: str
    system: System
    make: Callable[[], Composed]
    target: tuple[float, float]
    coefficients: Sequence[float] = (0.02, 0.04, 0.1, 0.4)
    each: int = 20
    seeds: Sequence[int] = (1, 2, 3)
    ours: Mapping[str, Ours] = field(default_factory=lambda: FEW)
    prior: str = "exact"

    @property
    def settings(self) -> str:
        """What its designs depend on, but for the sampler and the code."""
        return f"{self.system}, prior {self.prior}, target {self.target}, seeds {self.seeds}, {self.each} each"


def exact(each: int = 20, fewer: int = 8) -> list[Question]:
    """Those of which every window is known in closed form: 44 frames from windows of 24.

    ``each`` designs a seed and coefficient in the first two, ``fewer`` in the others.
    """
    def springs(name: str, role: str, system: Springs | Laws, target: tuple[float, float], count: int = fewer
                ) -> Question:
        return Question(name, role, system, lambda: chained(system, 44), target, each=count)

    two = Laws([Springs(3e-3, 2.0), Springs(3e-3, 6.0)])
    return [
        springs("noise 0.001", "tuned on", Springs(), (0.5, 0.5), each),
        springs("noise 0.001, target off centre", "fresh target", Springs(), (0.65, 0.4), each),
        springs("noise 0.01, target off centre", "looked at while tuning", Springs(1e-2), (0.7, 0.7)),
        springs("stiffer coupling, noise 0.003", "held out", Springs(3e-3, 8.0), (0.35, 0.6)),
        springs("one of two laws, noise 0.003", "held out, no Gaussian", two, (0.6, 0.5)),
    ]


def trained(directory: str, each: int) -> list[Question]:
    """Those of a trained prior of two bodies and 24 frames, judged by the exact solver."""
    from sciencegen.priors import Model

    from .trained import Box, composed

    model = Model.load(directory)
    prior = hashlib.sha256((Path(directory) / "model.safetensors").read_bytes()).hexdigest()[:12]

    def boxed(bodies: int, frames: int, target: tuple[float, float], role: str) -> Question:
        name = f"{bodies} bodies, {frames} frames, trained{'' if target == (0.5, 0.5) else ', target off centre'}"
        return Question(name, role, Box(bodies), lambda: composed(model, frames, bodies), target, COEFFICIENTS, each,
                        ours=TRAINED, prior=prior)

    return [boxed(2, 24, (0.5, 0.5), "tuned on"), boxed(2, 24, (0.65, 0.4), "fresh target"),
            boxed(2, 44, (0.5, 0.5), "held out: longer"), boxed(4, 24, (0.5, 0.5), "held out: more bodies")]


def scored(question: Question, designs: Tensor, seeds: Tensor) -> dict[str, Any]:
    """Of designs ``(B, T, n, 4)`` in box units and their seeds ``(B,)``: mean, and half the 95 % interval, of each.

    ``objective``: mean distance of the re-simulated last positions to the target. ``error``: mean absolute difference
    of design and re-simulation, frames aligned. ``diversity``: root mean variance of the initial states, its interval
    by the jackknife. ``speed``: rms, of all frames and bodies, in box lengths a second.
    """
    moved = question.system.resimulate(designs)
    target = designs.new_tensor(question.target)
    miss = (moved[:, -1, :, :2] - target).norm(dim=-1).mean(-1)
    error = (moved - designs).abs().flatten(1).mean(-1)
    first = designs[:, 0].flatten(1).double()
    left = torch.stack([_spread(torch.cat([first[:i], first[i + 1:]])) for i in range(len(first))])
    speed = designs[..., 2:].square().sum(-1).flatten(1).mean(-1).sqrt()
    found = {"objective": miss, "error": error, "speed": speed}
    diversity = {"mean": float(_spread(first)),
                 "half": 1.96 * (len(first) - 1) / len(first) ** 0.5 * float(left.std(correction=0))}
    return {name: _interval(values) for name, values in found.items()} | {
        "diversity": diversity, "designs": len(designs), "each_seed": {
            k: [float(v[seeds == s].mean()) for s in seeds.unique()] for k, v in found.items()}}


def _spread(states: Tensor) -> Tensor:
    return states.var(0).mean().sqrt()


def _interval(values: Tensor) -> dict[str, float]:
    if len(values) < 2:
        return {"mean": float(values.mean()), "half": math.nan}
    found = metrics.interval(values.double())
    return {"mean": float(found.mean), "half": float(found.mean - found.low)}
