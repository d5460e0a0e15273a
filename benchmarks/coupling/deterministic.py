"""D: conduction with feedback, whose solution is a fixed point: classical iterations, M2PDE's rule and ours.

From random starts, on the exact components and on networks that were trained on decoupled data; a component call is one
solve of one field, and a product with a Jacobian counts as a call of both. A row is right where its temperature is that
of one of the solutions (to 1e-4 on exact components), and of a case without a solution where it says so.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import sciencegen as sg
from sciencegen.coupling import residuals
from sciencegen.fixed_points import Aitken, InterfaceQuasiNewton, Relaxed, fixed_point
from sciencegen.physics.coupled import Conduction, Round
from sciencegen.sample import karras

from .learned import Known, Learned, decoupled_model
from .rules import m2pde

__all__ = ["CASES", "ITERATIONS", "deterministic", "settled"]

Answer = tuple[Tensor, Tensor, dict[str, Any]]
ITERATIONS = {"Picard": Relaxed(), "relaxed by .5": Relaxed(0.5), "relaxed by .1": Relaxed(0.1), "Aitken": Aitken(),
              "IQN-ILS": InterfaceQuasiNewton()}
NOISE = 1e-3  # at which a component is believed in its field's unit
X = torch.arange(1, 33, dtype=torch.float64) / 33


@dataclass(frozen=True)
class Case:
    """A load, its system, and the heights of humps from which the referee finds each branch."""

    system: Conduction
    heights: tuple[float, ...]


CASES = {
    "eigenvalue -.55": Case(Conduction(10.0), (0.0,)),
    "eigenvalue -1.24": Case(Conduction(50.0), (0.0,)),
    "eigenvalue -1.95": Case(Conduction(200.0), (0.0,)),
    "Bratu, near the fold: +.82 and 1.19": Case(Conduction(3.45, 1.0, hot=3.0), (0.0, 2.0)),
    "Bratu, load 1: +.11 and 3.67": Case(Conduction(1.0, 1.0, hot=5.0), (0.0, 5.0)),
    "Bratu, load 4: no solution": Case(Conduction(4.0, 1.0, hot=3.0), ()),
}


@dataclass(frozen=True)
class Exact:
    """A component as a model: its Tweedie mean is its answer at every level."""

    case: Case
    name: str

    @property
    def told(self) -> tuple[str, ...]:
        """The other field."""
        return ("v",) if self.name == "u" else ("u",)

    size = 32

    def physical(self, own: Tensor) -> Tensor:
        """Unit scale to physical."""
        variable = layout(self.case.system).variables[self.name]
        return variable.loc + variable.scale * own

    def mean(self, own: Tensor, sigma: float, parts: Mapping[str, Tensor]) -> Tensor:
        """The answer in unit scale."""
        variable = layout(self.case.system).variables[self.name]
        return (self.surrogate(**parts) - variable.loc) / variable.scale

    def surrogate(self, **parts: Tensor) -> Tensor:
        """The component itself."""
        system = self.case.system
        return system.temperature(parts["v"]) if self.name == "u" else system.source(parts["u"], system.load)


def layout(system: Conduction) -> sg.Layout:
    """Both fields in units of what is drawn elsewhere."""
    made = {}
    for name, law in system.elsewhere.items():
        made[name] = sg.Variable((32,), loc=(law.low + law.high) / 2, scale=(law.high - law.low) / 4, dims=("x",))
    return sg.Layout(**made)


def branches(case: Case) -> list[Tensor]:
    """The temperatures ``(32,)`` of all solutions."""
    given = case.system.draw(1)
    found = []
    for height in case.heights:
        u = height * (math.pi * X).sin()[None]
        start = {"u": u, "v": case.system.source(u, given["load"])}
        found.append(case.system.referee(start, **given)["u"][0])
    return found


def contraction(case: Case, branch: Tensor) -> float:
    """The eigenvalue of a round that is largest in size, at a solution."""
    system, given = case.system, case.system.draw(1)
    u = branch[None]
    matrix = torch.eye(64).double() - system.jacobian({"u": u, "v": system.source(u, given["load"])}, given)[0]
    values = torch.linalg.eigvals(matrix[:32, 32:] @ matrix[32:, :32]).real
    return float(values[values.abs().argmax()])


def iterated(case: Case, models: Mapping[str, Any], starts: Tensor, how: Any) -> Answer:
    """Ends ``(b, 32)``, whether each says that it has converged, and what it cost."""
    found = fixed_point(Round(Learned(case.system, models), {}, ("v", "u")), starts, how)
    rounds = found.iterations[found.converged] if bool(found.converged.any()) else found.iterations
    return found.point, found.converged, {"component calls": 2 * float(rounds.double().mean())}


def composed(case: Case, models: Mapping[str, Any], starts: Tensor, steps: int) -> Answer:
    """M2PDE's rule, two passes."""
    levels = karras(steps - 1, 0.01, 80.0, dtype=torch.float64).tolist()
    found = m2pde(models, {}, len(starts), levels, 1, 2)["u"]
    return found, found.isfinite().all(-1), {"component calls": 4.0 * steps}


def settled(case: Case, models: Mapping[str, Any], starts: Tensor) -> Answer:
    """Ours: the zeros of both residuals, one row for each of the distinct solutions."""
    system = case.system
    state = layout(system)
    energy = residuals(state, NOISE, u=lambda v, **_: models["u"].surrogate(v=v),
                       v=lambda u, **_: models["v"].surrogate(u=u))
    both = {"u": starts, "v": system.source(starts, system.load)}
    found = sg.settle(energy, both, state, iterations=100)
    u, shares = torch.as_tensor(found.samples.u.values), torch.as_tensor(found.data.starts.values)
    told = {"component calls": 2.0 * found.nfev, "energy": float(found.fun[0]), "message": found.message}
    times = (shares * len(starts)).round().long()
    return (u.repeat_interleave(times, 0), torch.as_tensor(found.success).repeat_interleave(times), told)


def rules(quick: bool) -> dict[str, Callable[..., Answer]]:
    """All rows by name."""
    made = {name: lambda c, m, s, how=how: iterated(c, m, s, how) for name, how in ITERATIONS.items()}
    for steps in (25,) if quick else (25, 250):
        made[f"M2PDE's rule, {steps} levels"] = lambda c, m, s, steps=steps: composed(c, m, s, steps)
    return made | {"ours": settled}


def scored(ends: Tensor, claimed: Tensor, truth: list[Tensor], enough: float) -> dict[str, float]:
    """Shares of the starts that ended at each solution, that claim one, and the error of those near one."""
    if not truth:
        return {"claims a solution": float(claimed.double().mean()), "right": float((~claimed).double().mean())}
    errors = torch.stack([(ends - branch).norm(dim=-1) / branch.norm() for branch in truth], -1).nan_to_num(torch.inf)
    least, which = errors.min(-1)
    right = claimed & (least < enough)
    shares = {f"at solution {k + 1}": float((right & (which == k)).double().mean()) for k in range(len(truth))}
    kept = least[claimed] if bool(claimed.any()) else least
    return {"claims a solution": float(claimed.double().mean()), "right": float(right.double().mean()), **shares,
            "error": float(kept.median())}


def deterministic(quick: bool, out: Path) -> Iterator[dict[str, Any]]:
    """Rows on exact components of all cases, then on learned ones of those that have a solution."""
    chosen = list(CASES.items())
    for name, case in chosen:
        yield from answered(f"D: {name}; exact components", case, {k: Exact(case, k) for k in "uv"}, quick, 1e-4)
    for name, case in chosen[1:2] if quick else chosen[:-1]:
        minutes = 0.1 if quick else 0.5
        models = {k: decoupled_model(case.system, k, told, out / f"conduction_{case.system.load:g}_{k}", minutes, steps)
                  for k, told, steps in (("u", ("v",), 20), ("v", ("u",), None))}
        yield from answered(f"D: {name}; learned components", case, models, quick, 0.2)


def answered(task: str, case: Case, models: Mapping[str, Any], quick: bool, enough: float) -> Iterator[dict[str, Any]]:
    """A row for each rule."""
    learned = isinstance(models["u"], Known)
    count = 6 if learned else 10 if quick else 20
    starts = case.system.elsewhere["u"].sample(case.system.fields["u"], count, seed=3)
    truth = branches(case)
    radius = max((contraction(case, b) for b in truth), key=abs, default=math.nan)
    for name, rule in rules(quick).items():
        began = time.perf_counter()
        ends, claimed, told = rule(case, models, starts)
        with torch.no_grad():
            found = scored(ends, claimed, truth, enough)
        yield {"task": task, "row": name, **found, **told, "contraction": radius, "n": count,
               "seconds": time.perf_counter() - began}
    if truth and learned:
        yield {"task": task, "row": "the components' own", "error": own(case, models, truth), "n": count}


def own(case: Case, models: Mapping[str, Known], truth: list[Tensor]) -> float:
    """The larger of the two components' errors, told the solution's other field; the median over solutions."""
    found = []
    with torch.no_grad():
        for u in truth:
            v = case.system.source(u[None], case.system.load)
            pairs = ((models["u"].surrogate(v=v), u[None]), (models["v"].surrogate(u=u[None]), v))
            found.append(max(float((got - true).norm() / true.norm()) for got, true in pairs))
    return sorted(found)[len(found) // 2]
