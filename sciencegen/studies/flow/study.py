r"""Bodies of high lift and low drag in a stream: compose and sample, fit wings, choose, solve, descend.

1. *Compose.* Priors of one body are composed to several (:mod:`.compose`); objective and constraints act at Tweedie's
   mean. No solver is called.
2. *Decode.* Each body's image becomes an airfoil (:mod:`sciencegen.airfoil.wing_fit`), or is rejected with a reason.
3. *Adjust by the surrogate.* Those of which the network expects most (:mod:`.surrogate`), half as many again as are
   asked for, go down through what it expects of them. Still no solver is called.
4. *Keep.* Those go on of which it expects most now.
5. *Solve.* Each of them is judged once, as it flies in free air; the best come first.
6. *Polish.* The best go down through the solver, on the training set's grid (:mod:`.descent`), and are judged again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray
from torch import Tensor

from ...airfoil.wing_fit import fit_wings
from ...airfoil.wings import Limits, Wings
from ...energy import Residual
from ...layout import Layout
from ...mcmc import HMC
from ...physics.mean_forces import FreeAir, MeanForces, efficiency
from ...priors import Prior
from ...result import Result
from ...sample import Ancestral, Sampler, karras
from ...tasks import Problem
from ..stages import Adjust, Compose, Decode, Keep, Polish, Solve, Stage
from ..study import Study
from . import report
from .compose import Composition, climb, enlarge, superposed
from .constraints import ANY, NEAR, constraints, cost, derived, missing
from .descent import descend
from .openfoam import ByOpenFOAM
from .surrogate import STEPS, Surrogate, raised

__all__ = ["FlowStudy", "few_steps"]

DRAWS = 4  # flows of which a force is the mean
FURTHER = 1.5  # times as many designs go down through the surrogate as are solved
PINNED = 0.02  # of a part's unit: how closely what is given is kept to
SHORT = 5.0  # time that is solved for a gradient, chords over the free stream
PARTS = ("flow", "body", "reynolds")


def few_steps(steps: int = 48, low: float = 0.02, high: float = 1000.0) -> Sampler:
    """Stochastic steps, each followed by one of Langevin's at the same level."""
    corrector = HMC(lambda sigma: 0.5 * sigma / (1 + sigma**2).sqrt(), adjusted=False)
    return Ancestral(karras(steps, low, high), corrector)


@dataclass(frozen=True)
class FlowStudy(Study):
    """One question, and everything to answer it with; ``fun`` of a design is minus lift over drag.

    A result has, beside the network's parts, ``shape, chord, alpha, centre, outline`` of each body, ``solved``, its
    mean drag and lift, ``inflow``, the stream in which it is, and ``expected``, minus lift over drag by the surrogate.

    Arguments:
        layout, energy: the trained prior of one body (:mod:`.prior`).
        bodies: how many.
        reynolds: of the unit chord.
        price: of drag in lift (:func:`.constraints.cost`): of more than most bodies can pay, the smallest body is the
            best.
        weight: of that cost, an inverse temperature.
        sampler: of the composed prior.
        limits: what wings must keep to.
        law: standard deviation of what the flow obeys (:func:`.laws.obeyed`); None leaves it out.
        composed: makes the prior of several, one of :mod:`.compose`.
        solver: whose gradients designs go down.
        judge: whose word on a design's forces is taken.
        lift: least and most of all bodies together; the same twice for exactly so much.
        tolerance: how far a body's image may be from the wing that it is taken for, chords.
        spare: so many times as many designs are sampled as are solved.
        imagined: evaluations of the surrogate for each design on its way down through it.
        refined, evaluations: how many of the best go down through the solver, and how often it is called for each.

    Raises:
        ValueError: for a Reynolds number that the prior has not seen, and a lift from most to least.
    """

    layout: Layout
    energy: Prior
    bodies: int = 1
    reynolds: float = 250.0
    price: float = 1.2
    weight: float | Callable[[Tensor], Tensor] = 60.0
    sampler: Sampler = field(default_factory=few_steps)
    limits: Limits = Limits()
    law: float | None = 0.1
    composed: Callable[[Layout, Prior, int], Composition] = superposed
    solver: MeanForces = MeanForces(24, 8.5, 0.35)
    judge: FreeAir | ByOpenFOAM | MeanForces = FreeAir()
    lift: tuple[float, float] = ANY
    tolerance: float = 0.04
    spare: int = 3
    imagined: int = 20
    refined: int = 1
    evaluations: int = 8

    def __post_init__(self) -> None:
        enlarge(self.layout, self.bodies)
        known = 10 ** self.layout.unpack(torch.tensor([[-2.0], [2.0]]).expand(2, self.layout.size))["reynolds"]
        if not known[0] <= self.reynolds <= known[1]:
            raise ValueError(f"got a Reynolds number of {self.reynolds:g}; expected {known[0]:.0f} to {known[1]:.0f}, "
                             "which the prior was trained on")
        if not self.lift[0] <= self.lift[1]:
            raise ValueError(f"got a lift of {self.lift}; expected its least, then its most: swap them, or "
                             "(0.6, 0.6) for exactly 0.6")

    @cached_property
    def many(self) -> Composition:
        """The composed prior."""
        return self.composed(self.layout, self.energy, self.bodies)

    @property
    def stages(self) -> Sequence[Stage]:
        surrogate = [Keep(FURTHER), Adjust(self.adjusted), Decode(self.expected)] if self.imagined else []
        polish = [Adjust(self.descended), Decode(partial(self.expected, turned=True)), Solve(self.solved)]
        return [self._compose(), Decode(self.generated), Decode(self.fitted), Decode(self.expected), *surrogate,
                Keep(), Decode(self.turned), Solve(self.solved),
                *([Polish(self.refined, polish)] if self.refined and self.evaluations else [])]

    def _compose(self) -> Compose:
        """Flows and bodies as the network has them."""
        many = self.many
        view, part = many.layout["reynolds"], many.layout.variables["reynolds"]
        wanted = (math.log10(self.reynolds) - part.loc) / part.scale
        laws = Residual(lambda x: view(x) - wanted, PINNED)
        if self.law is not None:
            laws = laws + Residual(lambda x: many.obeyed(**many.layout.unpack(x)), self.law)
        return Compose(Problem(many.layout, many.prior, laws, derived(many.forces)),
                       lambda drag, lift, **_: cost(drag, lift, self.price), self.weight, self.sampler,
                       constraints(self.limits, self.bodies, self.lift), self.spare)

    def generated(self, samples: xarray.Dataset) -> xarray.Dataset:
        """``force`` becomes what flows exert on each body, ``inflow`` the stream in which it is."""
        return self._with_forces(samples, [{k: torch.tensor(samples[k].values) for k in PARTS}])

    def fitted(self, samples: xarray.Dataset) -> xarray.Dataset:
        """The wings within limits, ``(sample, part)``, each in its own stream; reasons a sample, of all its bodies."""
        found = fit_wings(torch.tensor(samples["body"].values), self.limits, self.tolerance)
        reason = np.array(["; ".join(r for r in row if r) for row in found.reason], dtype=object)
        return self._checked(self.limits.within(found.wings), reason)

    @torch.no_grad()
    def expected(self, samples: xarray.Dataset, turned: bool = False) -> xarray.Dataset:
        """The ``flow``, ``force``, ``inflow`` and ``fun`` that the surrogate expects of wings, whose images are their
        ``body``; forces are raised means of :data:`DRAWS`. Wings are in their own streams, or
        ``turned`` in the one of all.
        """
        wings = Wings.of(samples)
        wings = wings._replace(alpha=wings.alpha + climb(samples["inflow"])) if turned else wings
        surrogate, loops = self._surrogate(samples, 0), wings.outline().float()
        drawn = [surrogate.parts(loops) for _ in range(DRAWS)]
        found = self._with_forces(samples, drawn, raised(self.bodies, self.imagined))
        return found.assign_attrs(spent={"network_calls": DRAWS * STEPS})

    def adjusted(self, samples: xarray.Dataset) -> xarray.Dataset:
        """Wings down through the surrogate; those stay as they were that would be rejected at the end."""
        before = Wings.of(samples)
        surrogate, scale = self._surrogate(samples, 1), raised(self.bodies, self.imagined)
        after, _ = descend(before, lambda loops: scale * surrogate(loops), self.limits, self.imagined, self.lift,
                           noisy=True, bar="surrogate")
        fine = self._checked(after, np.full(len(before.chord), "", dtype=object))["reason"].values == ""
        chosen = before.where(~torch.tensor(fine), after)
        return chosen.named().assign_attrs(spent={"network_calls": self.imagined * STEPS})

    def turned(self, samples: xarray.Dataset) -> xarray.Dataset:
        """Wings of their own streams as they are in the one of all: by the angle of each one's inflow."""
        wings = Wings.of(samples)
        return self._checked(wings._replace(alpha=wings.alpha - climb(samples["inflow"])), samples["reason"].values)

    def solved(self, samples: xarray.Dataset) -> xarray.Dataset:
        """Wings as they are judged: ``outline``, ``solved`` and ``fun``; ``expected`` is what ``fun`` was before."""
        loops = Wings.of(samples).outline().float()
        with torch.no_grad():
            force = replace(self.judge, reynolds=self.reynolds)(loops)
        far = np.where((missing(force, self.lift) > NEAR).numpy(), "not the lift that is asked for", "").astype(object)
        return xarray.Dataset({"outline": (("sample", "part", "point", "axis"), loops.numpy()),
                               "solved": (("sample", "part", "coefficient"), force.numpy()),
                               "expected": ("sample", samples["fun"].values), "reason": ("sample", far),
                               "fun": ("sample", -efficiency(force).numpy())}, attrs={"spent": {"solves": len(loops)}})

    def descended(self, samples: xarray.Dataset) -> xarray.Dataset:
        """Wings down through the solver, on its grid for a shorter time."""
        short = replace(self.solver, reynolds=self.reynolds, time=SHORT, mean=0.4)
        wings, worth = descend(Wings.of(samples), short, self.limits, self.evaluations, self.lift, bar="descent")
        reason = np.where(worth.isfinite().numpy(), "", "nothing within limits on the way down").astype(object)
        return wings.named().assign(reason=("sample", reason)).assign_attrs(
            spent={"solves": self.evaluations * len(reason)})

    def _with_forces(self, samples: xarray.Dataset, drawn: list[dict[str, Tensor]], scale: Tensor | float = 1.0
                     ) -> xarray.Dataset:
        """The first of what is ``drawn``, with the mean forces and inflows of all, and minus lift over drag."""
        force, inflow = (torch.stack([of(**parts) for parts in drawn]).mean(0)
                         for of in (self.many.forces, self.many.inflow))
        force = scale * force
        found = {k: samples[k].copy(data=v.numpy()) for k, v in drawn[0].items()}
        drag = force.sum(-2)[..., 0]  # no drag is not believed
        return xarray.Dataset(found).assign(
            force=(("sample", "part", "coefficient"), force.numpy()),
            inflow=(("sample", "part", "axis"), inflow.numpy()),
            fun=("sample", torch.where(drag > 0, -efficiency(force), torch.inf).numpy()))

    def _checked(self, wings: Wings, reason: np.ndarray) -> xarray.Dataset:
        """``wings`` with the reasons that they have, and one more where they are too small or too near each other."""
        whole = np.nonzero(reason == "")[0]
        reason = reason.copy()
        reason[whole] = self.limits.unmet(wings.row(whole)) if len(whole) else ""
        return wings.named().assign(reason=("sample", reason))

    def _surrogate(self, samples: xarray.Dataset, purpose: int) -> Surrogate:
        seeds = torch.as_tensor(samples["seed"].values) + 2**55 + purpose * 2**49
        return Surrogate(self.many, math.log10(self.reynolds), seeds)

    @property
    def labels(self) -> Mapping[str, tuple[str, str]]:
        return report.LABELS

    def row(self, sample: xarray.Dataset) -> dict[str, str]:
        return report.row(sample)

    def draw(self, result: Result) -> tuple[Any, Any]:
        return report.draw(self, result, report.film(self, result))

    def files(self, directory: Path, result: Result) -> None:
        report.files(self, directory, result)

    def judged(self, result: Result) -> Sequence[str]:
        return report.judged(self)

    def captions(self, result: Result) -> Mapping[str, str]:
        return report.CAPTIONS

    def seconds(self, count: int) -> float:
        return report.seconds(self, count)
