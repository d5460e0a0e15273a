r"""Designs of the composed prior: ours, and the original's recipe on the same weights.

*The original*: a thousand stochastic steps; the flow's score averaged over the bodies; after each step the *noisy*
state is moved against the gradient of the forces that its own flow exerts, by a coefficient times its sigmoid schedule
run backwards, so that the pull is strongest at the end. The levels are ours: between those at which our prior decides
its schedule, made for parts of unit spread, has five steps.

"Compositional Generative Inverse Design" (Wu et al., 2024), https://arxiv.org/abs/2401.13171, and its released code.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sciencegen.airfoil.wing_fit import fit_wings
from sciencegen.airfoil.wings import Wings
from sciencegen.layout import Layout, View
from sciencegen.physics.mean_forces import MeanForces
from sciencegen.priors import Prior, zoo
from sciencegen.random import Streams
from sciencegen.result import Result
from sciencegen.sample import Ancestral, karras
from sciencegen.studies.flow.compose import Shared, enlarge, shared, stream
from sciencegen.studies.flow.constraints import clearance, forces
from sciencegen.studies.flow.prior import distance
from sciencegen.studies.flow.study import FlowStudy, few_steps
from sciencegen.studies.stages import AllRejected

from ..nbody.ours import Averaged
from .question import Designed, Question

__all__ = ["Original", "Ours", "ours"]


def ours(judge: MeanForces, evaluations: int, imagined: int, spare: int, levels: int, coefficient: float, steps: int
         ) -> dict[str, tuple[dict[str, Any], Callable[[], Any]]]:
    """By name what the rows of the composed prior spend, and what makes them.

    ``judge`` is the coarse solver; of each design that is refined its gradient is called ``evaluations`` times, as by
    gradients from random starts; ``imagined``, ``spare`` and ``levels`` are ours, ``coefficient`` and ``steps`` the
    original's.
    """
    def study(**settings: Any) -> FlowStudy:
        prior = zoo("flow")
        return FlowStudy(prior.layout, prior.energy.requires_grad_(False), solver=judge, sampler=few_steps(levels),
                     **settings)

    def row(name: str, count: int | None = None, **settings: Any) -> tuple[dict[str, Any], Callable[[], Any]]:
        told = {k: getattr(v, "__name__", v) for k, v in {**settings, "levels": levels}.items()}
        return told, lambda: Ours(name, study(**settings), count)

    whole = {"imagined": imagined, "spare": spare}
    plain = {"refined": 0, "imagined": 0, "spare": spare}
    named = {"ours": whole | {"refined": 0}, "ours, not imagined": plain,
             "ours, one shared flow": plain | {"composed": shared, "tolerance": 0.12},
             "ours, averaged": plain | {"composed": averaged, "tolerance": 0.12},
             "ours, unguided": plain | {"weight": 0.0},
             "ours, one refined": {"imagined": imagined, "spare": 2 * spare, "count": 2, "refined": 1,
                                   "evaluations": min(5, evaluations)},
             "ours, all refined": whole | {"refined": 1000, "evaluations": evaluations}}
    found = {name: row(name, **settings) for name, settings in named.items()}
    found["the original's recipe"] = ({"coefficient": coefficient, "steps": steps}, lambda: Original(
        "the original's recipe", study(), coefficient, steps))
    return found


def averaged(layout: Layout, energy: Prior, bodies: int) -> Shared:
    """The original's composition, for :class:`Study`."""
    many = enlarge(layout, bodies)
    return Shared(many, Averaged(energy, bodies_view(many)))


def bodies_view(many: Layout) -> View:
    """A copy for each body: with the one flow and the one Reynolds number, in the order of a state of one body."""
    return many["flow"] & many["body"].each() & many["force"].each() & many["reynolds"]


@dataclass(frozen=True)
class Ours:
    """The study as a user runs it; ``count`` designs instead of the question's."""

    name: str
    study: FlowStudy
    count: int | None = None

    def __call__(self, question: Question) -> Designed:
        study = replace(self.study, bodies=question.bodies, reynolds=question.reynolds, limits=question.limits)
        count = self.count or question.count
        try:
            return handed(study.run(count, torch.arange(count) + question.seed * 2**20, progress=False))
        except AllRejected:
            return nothing(count, question.bodies)


@dataclass(frozen=True)
class Original:
    """The original's composition and guidance, ``steps`` of them; its designs are traced as ours are."""

    name: str
    study: FlowStudy
    coefficient: float
    steps: int = 1000

    def __call__(self, question: Question) -> Designed:
        study = replace(self.study, bodies=question.bodies, reynolds=question.reynolds, limits=question.limits)
        layout = enlarge(study.layout, question.bodies)
        prior = Averaged(study.energy, bodies_view(layout))
        seeds = torch.arange(question.count) + question.seed * 2**20
        x = self.sample(layout, prior, seeds, question.reynolds)
        parts = layout.unpack(x)
        wings = fit_wings(parts["body"], question.limits).wings
        return Designed(Wings(*(part.double() for part in wings)), parts["force"], parts["flow"])

    @torch.no_grad()
    def sample(self, layout: Layout, prior: Averaged, seeds: Tensor, reynolds: float) -> Tensor:
        """States ``(count, d)``."""
        beta, down = sigmoid(self.steps), self.study.sampler.sigmas
        sigmas = karras(self.steps - 1, float(down[-1]), float(down[0])).flip(0)
        step, noise, view = Ancestral(sigmas.flip(0)), Streams(seeds), layout["reynolds"]
        known = (math.log10(reynolds) - view(layout.loc)) / view(layout.scale)
        x = sigmas[-1] * noise.normal(layout.size, torch.float32)
        for t in reversed(range(self.steps)):
            x[:, view.rows] = known.float()
            below = float(sigmas[t - 1]) if t else 1e-3
            x, _, _ = step.step(prior, x, float(sigmas[t]), below, step.init(x), noise.at(t + 1))
            x = x - self.coefficient * float(beta[-1 - t]) * pull(layout, x)
        return x


def pull(layout: Layout, x: Tensor) -> Tensor:
    """The gradient at the noisy state of drag minus lift of its own flow, and of bodies' overlap."""
    with torch.enable_grad():
        y = x.detach().requires_grad_()
        parts = layout.unpack(y)
        force = forces(parts["flow"], parts["body"], parts["reynolds"])
        cost = (force[..., 0].abs() - force[..., 1]).sum()
        if parts["body"].shape[1] > 1:
            cost = cost + clearance(distance(parts["body"])).clamp_max(0).neg().sum()
        return torch.autograd.grad(cost, y)[0]


def sigmoid(steps: int, start: float = -3.0, end: float = 3.0) -> Tensor:
    """The variances ``(steps,)`` that are added by each step of the sigmoid schedule."""
    at = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    low, high = torch.tensor(start).double().sigmoid(), torch.tensor(end).double().sigmoid()
    kept = (high - (at * (end - start) + start).sigmoid()) / (high - low)
    return (1 - kept[1:] / kept[:-1]).clamp(max=0.999)


def nothing(count: int, bodies: int) -> Designed:
    """The answer of a row of which no sample could be built."""
    gap = lambda *shape: torch.full((count, bodies, *shape), math.nan, dtype=torch.float64)
    return Designed(Wings(gap(18), gap(), gap(), gap(2)))


def handed(result: Result) -> Designed:
    """A study's result as a row's answer."""
    found = {k: torch.tensor(result.samples[k].values) for k in ("shape", "chord", "alpha", "centre", "force", "flow")}
    wings = Wings(*(found[k].double() for k in Wings._fields))
    flow = stream(found["flow"]) if "part" in result.samples["flow"].dims else found["flow"]
    return Designed(wings, found["force"], flow, int(result.config["spent"].get("solves", 0)), math.nan)
