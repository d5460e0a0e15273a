r"""Bodies of high lift and low drag in a stream: compose and sample, trace, choose, judge, refine.

1. *Compose.* Priors of one body are composed to several (:mod:`.compose`); objective and constraints act at Tweedie's
   mean. No solver is called.
2. *Trace.* Each body's image becomes an airfoil (:mod:`.trace`), or is rejected with a reason.
3. *Imagine.* Those of which the network expects most (:mod:`.expected`), half as many again as are asked for, go down
   through what it expects of them. Still no solver is called.
4. *Choose.* Those go on of which it expects most now.
5. *Judge.* Each of them is solved once, on the grid of the training set; the best come first.
6. *Refine.* The best go down through the solver (:mod:`.refine`) for some evaluations, and are judged again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from ...energy import Residual
from ...layout import Layout
from ...mcmc import HMC
from ...noise import spares
from ...priors import Prior
from ...sample import Ancestral, Sampler, karras
from ...tasks import Problem, Result, design
from .compose import Composition, enlarge, superposed
from .expected import STEPS, Expected
from .judge import Judge, efficiency
from .outcome import better, seen
from .question import ANY, NEAR, cost, missing
from .refine import refine
from .trace import Traced, trace
from .wanted import constraints, derived
from .wings import Limits, Wings, areas, gaps

__all__ = ["Study", "few_steps"]

DRAWS = 4  # flows of which a force is the mean
FURTHER = 1.5  # times as many designs are imagined as are solved
PINNED = 0.02  # of a part's unit: how closely what is given is kept to
SHORT = 5.0  # time that is solved for a gradient, chords over the free stream


def few_steps(steps: int = 48, low: float = 0.02, high: float = 1000.0) -> Sampler:
    """Stochastic steps, each followed by one of Langevin's at the same level."""
    corrector = HMC(lambda sigma: 0.5 * sigma / (1 + sigma**2).sqrt(), adjusted=False)
    return Ancestral(karras(steps, low, high), corrector)


@dataclass(frozen=True)
class Study:
    """One question, and everything to answer it with.

    Arguments:
        layout, energy: the trained prior of one body (:mod:`.prior`).
        bodies: how many.
        reynolds: of the unit chord.
        price: of drag in lift (:func:`sciencegen.jobs.flow.question.cost`): of more than most bodies can pay, the
            smallest body is the best.
        weight: of that cost, an inverse temperature.
        sampler: of the composed prior.
        limits: what wings must keep to.
        law: standard deviation of what the flow obeys (:func:`sciencegen.jobs.flow.laws.obeyed`); None leaves it out.
        composed: makes the prior of several, one of :mod:`sciencegen.jobs.flow.compose`.
        judge: the solver.
        lift: least and most of all bodies together; the same twice for exactly so much.
        tolerance: how far a body's image may be from the wing that it is taken for, chords.
        spare: so many times as many designs are sampled as are solved.
        imagined: evaluations of the network for each design on its way down through what it expects.
        refined, evaluations: how many of the best go down through the solver, and how often it is called for each.
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
    judge: Judge = Judge(24, 8.5, 0.35)
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

    def generate(self, count: int, seeds: Tensor | None = None, progress: bool = True) -> Result:
        """Step 1: flows and bodies as the network has them; ``force`` is what flows exert on each of them, in the place
        of the state's own, ``inflow`` the stream in which each is, and ``fun`` minus lift over drag."""
        made = self.composed(self.layout, self.energy, self.bodies)
        view, part = made.layout["reynolds"], made.layout.variables["reynolds"]
        wanted = (self._log_reynolds - part.loc) / part.scale
        laws = Residual(lambda x: view(x) - wanted, PINNED)
        if self.law is not None:
            laws = laws + Residual(lambda x: made.obeyed(**made.layout.unpack(x)), self.law)
        problem = Problem(made.layout, made.prior, laws, derived(made))
        found = design(problem, lambda drag, lift, **_: cost(drag, lift, self.price), self.weight, self.sampler, count,
                       constraints=constraints(self.limits, self.bodies, self.lift), seeds=seeds, progress=progress)
        found = seen(found, made, [{k: torch.tensor(found.samples[k].values) for k in ("flow", "body", "reynolds")}])
        return found.isel(found.fun.argsort())

    def run(self, count: int = 16, seeds: Tensor | None = None, progress: bool = True) -> Result:
        """All steps: ``count`` designs that were solved, those within limits first, then by lift over drag;
        ``fun`` is minus that.

        ``samples`` has, beside the network's parts, ``shape, chord, alpha, centre, outline`` of each body, ``solved``,
        its mean drag and lift, ``expected``, minus lift over drag as the network has it, and ``reason``, why one cannot
        be built. Interrupted from the keyboard, what is there is traced and solved as it is, and marked as partial.
        """
        made, traced = self.propose(count, seeds, progress)
        judged = self.solved(made, traced)
        return judged if made.status else self.refine(judged, progress)

    def propose(self, count: int, seeds: Tensor | None = None, progress: bool = True) -> tuple[Result, Traced]:
        """Steps 1 to 4, which call no solver: ``count`` samples, and their wings in the one stream of all."""
        more = self.spare * count
        made = self.generate(more, None if seeds is None else spares(seeds, more), progress)
        traced = self.build(made)
        made = self.expect(made, traced)
        if self.imagined and not made.status:
            made, traced = _best(made, traced, math.ceil(FURTHER * count))
            traced = self.imagine(made, traced, progress)
            made = self.expect(replace(made, nfev=made.nfev + self.imagined * STEPS), traced)
        made, traced = _best(made, traced, count)
        return made, self.turn(made, traced)

    def build(self, made: Result) -> Traced:
        """Step 2: the wings ``(sample, body)``, each in its own stream; reasons a sample, those of all its bodies."""
        found = trace(torch.tensor(made.samples["body"].values), self.limits, self.tolerance)
        reason = np.array(["; ".join(r for r in row if r) for row in found.reason], dtype=object)
        return self._checked(found._replace(reason=reason))

    def turn(self, made: Result, traced: Traced, back: bool = False) -> Traced:
        """Wings of their own streams as they are in the one of all, or ``back``: by the angle of each one's inflow."""
        u, v = torch.tensor(made.samples["inflow"].values).unbind(-1)
        angle = torch.rad2deg(torch.atan2(v, u)) * (1 if back else -1)
        turned = traced._replace(wings=traced.wings._replace(alpha=traced.wings.alpha + angle))
        return turned if back else self._checked(turned)

    def _checked(self, traced: Traced) -> Traced:
        """With a further reason for wings too small or too near each other."""
        reason, whole = traced.reason.copy(), np.nonzero(traced.reason == "")[0]
        wings = traced.wings.row(whole)
        reason[whole[(areas(wings) < self.limits.area - 2e-3).any(-1).numpy()]] = "smaller than its least area"
        if self.bodies > 1 and len(whole):
            reason[whole[(gaps(wings) < self.limits.gap - 2e-3).any(-1).numpy()]] = "bodies too near each other"
        return traced._replace(reason=reason)

    @torch.no_grad()
    def expect(self, made: Result, traced: Traced) -> Result:
        """For steps 3 and 4: samples with the ``flow``, ``force``, ``inflow`` and ``fun`` that the network expects of
        their traced wings (:mod:`.expected`), whose images are their ``body``; forces are means of :data:`DRAWS`."""
        good = np.nonzero(traced.reason == "")[0]
        if not len(good):
            return made
        many = self.composed(self.layout, self.energy, self.bodies)
        judge, loops = self._expected(many, made.isel(good), 0), traced.wings.row(good).outline().float()
        found = seen(made, many, [judge.parts(loops) for _ in range(DRAWS)], good)
        return replace(found, nfev=made.nfev + DRAWS * STEPS)

    def imagine(self, made: Result, traced: Traced, progress: bool = False) -> Traced:
        """Step 3: wings that went down through what the network expects of them, for ``imagined`` evaluations; those
        stay as they were that would be rejected at the end."""
        good = np.nonzero(traced.reason == "")[0]
        if not (len(good) and self.imagined):
            return traced
        judge = self._expected(self.composed(self.layout, self.energy, self.bodies), made.isel(good), 1)
        lower, _ = refine(traced.wings.row(good), judge, self.limits, self.imagined, self.lift, noisy=True,
                          bar="imagine" * progress)
        better = self._checked(traced.row(good)._replace(wings=lower)).reason == ""
        wings = Wings(*(part.clone() for part in traced.wings))
        for part, new in zip(wings, lower):
            part[good[better]] = new[better].to(part)
        return traced._replace(wings=wings)

    def _expected(self, many: Composition, made: Result, purpose: int) -> Expected:
        return Expected(many, self._log_reynolds, torch.as_tensor(made.seeds) + 2**55 + purpose * 2**49)

    def solved(self, made: Result, traced: Traced) -> Result:
        """Step 5: ``traced`` wings of ``made`` samples in the solver, best first."""
        good, wings = traced.reason == "", traced.wings
        loops = torch.full((len(good), self.bodies, 201, 2), torch.nan)
        loops[torch.tensor(good)] = wings.row(torch.tensor(good)).outline().float()
        force = torch.full((len(good), self.bodies, 2), torch.nan)
        with torch.no_grad():
            force[torch.tensor(good)] = replace(self.judge, reynolds=self.reynolds)(loops[torch.tensor(good)])
        fun = -efficiency(force).numpy()
        names = {"shape": ("weight",), "chord": (), "alpha": (), "centre": ("axis",)}
        found = {k: (("sample", "part", *dims), getattr(wings, k).numpy()) for k, dims in names.items()}
        found |= {"outline": (("sample", "part", "point", "axis"), loops.numpy()),
                  "solved": (("sample", "part", "coefficient"), force.numpy()),
                  "expected": ("sample", made.fun), "reason": ("sample", traced.reason.astype(str))}
        success = good & np.isfinite(fun) & (missing(force, self.lift) <= NEAR).numpy()
        done = replace(made, samples=made.samples.assign(found), fun=fun, success=success,
                       config=made.config | self.config() | {"solves": int(good.sum())})
        return done.isel(np.lexsort([fun, ~success]))

    def refine(self, judged: Result, progress: bool = False) -> Result:
        """Step 6: the ``refined`` best of ``judged`` designs down through the solver, which replace them if better."""
        good = np.nonzero(judged.success)[0][: self.refined] if self.evaluations else []
        if not len(good):
            return judged
        every = Wings(*(torch.tensor(judged.samples[k].values) for k in Wings._fields))
        short = replace(self.judge, reynolds=self.reynolds, time=SHORT, mean=0.4)
        finer, found = refine(every.row(good), short, self.limits, self.evaluations, self.lift,
                              bar="refine" * progress)
        traced = Traced(finer, found, np.where(found.isfinite(), "", "not refined").astype(object))
        made = judged.isel(good)
        again = self.solved(self.expect(made, self.turn(made, traced, back=True)), traced)
        spent = judged.config["solves"] + again.config["solves"] + len(good) * self.evaluations
        return better(judged, again, spent)

    @property
    def _log_reynolds(self) -> float:
        return math.log10(self.reynolds)

    def config(self) -> dict[str, object]:
        """What was asked, for a result's record."""
        plain = ("bodies", "reynolds", "price", "law", "lift", "tolerance", "spare", "imagined", "refined",
                 "evaluations")
        return {k: getattr(self, k) for k in plain} | {"composed": self.composed.__name__,
                                                       "limits": repr(self.limits), "judge": repr(self.judge)}


def _best(made: Result, traced: Traced, count: int) -> tuple[Result, Traced]:
    """The ``count`` that can be built and of which most is expected."""
    order = np.lexsort([made.fun, traced.reason != ""])[:count]
    return made.isel(order), traced.row(order)
