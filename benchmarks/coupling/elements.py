"""C: structures of like elements from a prior of one, beside Schwarz' method and M2PDE's rule.

The prior is the Gaussian of 2,000 noisy draws of one element alone, between walls from elsewhere; that it is Gaussian
is hidden from ours. Ours is the fields that agree at the highest noise level, from nothing, to 1e-5; Schwarz' method
has the exact component and as many sweeps. The true answer is the whole grid's; errors are medians over cases.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

import sciencegen as sg
from sciencegen.coupling import Conditionals, components
from sciencegen.physics.coupled import Elements
from sciencegen.sample import karras

from .gaussian import Hidden
from .learned import DRAWS, HIGH, Known
from .rules import Draws

__all__ = ["elements"]

SIZES = ((1, 1), (1, 2), (2, 2), (2, 4), (4, 4), (4, 8), (8, 8))
ALONE = Elements(length=0.2)  # walls of a structure are rougher than its sources: .5 costs a third in error
SIDES = ("w0", "w1", "w2", "w3")
FLOOR, NOISE = 1e-4, 0.005  # of the prior's covariance; of what its data add to u, so that there is something to learn


def prior(noise: float = NOISE) -> sg.Problem:
    """One element given its walls and source."""
    data = ALONE.alone(DRAWS, seed=1)
    white = torch.randn(data["u"].shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    parts = {"u": data["u"] + noise * white, **{s: data["walls"][:, k] for k, s in enumerate(SIDES)},
             "source": data["source"]}
    layout = sg.Layout(**{k: sg.Variable(v.shape[1:], loc=float(v.mean()), scale=float(v.std()))
                          for k, v in parts.items()})
    return sg.Problem(layout, Hidden(sg.Gaussian.fit(layout.pack(**parts).double(), floor=FLOOR)))


def elements(quick: bool) -> Iterator[dict[str, Any]]:
    """A row for each size and rule."""
    one = prior()
    model = Known(one, "u", (*SIDES, "source"))
    for rows, columns in ((1, 1), (2, 2), (4, 4)) if quick else SIZES:
        system, cases = Elements(rows, columns), 2 if quick else 5
        with torch.no_grad():
            found = [answered(one, model, system, case) for case in range(cases)]
        for name in found[0]:
            errors, *more = (sorted(case[name][k] for case in found) for k in ("error", "sweeps", "seconds"))
            middle = {k: v[cases // 2] for k, v in zip(("sweeps", "seconds"), more)}
            yield {"task": f"C: {rows * columns} elements", "row": name, "error": errors[cases // 2], **middle,
                   "n": cases}


def answered(one: sg.Problem, model: Known, system: Elements, case: int) -> dict[str, dict[str, float]]:
    """Error, sweeps and seconds of each rule."""
    source = system.draw(1, seed=20 + case)["source"]
    truth = stacked(system, system.referee(source=source))
    fields, sweeps = ours(one, system, source)
    rules = {"ours": (lambda: ours(one, system, source)[0], sweeps),
             "Schwarz, as many sweeps": (lambda: schwarz(system, source, sweeps), sweeps),
             "M2PDE's rule, 25 levels": (lambda: m2pde(model, system, source, 25), 50.0),
             "M2PDE's rule, 250 levels": (lambda: m2pde(model, system, source, 250), 500.0),
             "the component told the true walls": (lambda: own(model, told(system, truth, source)), 1.0)}
    found = {}
    for name, (rule, count) in rules.items():
        began = time.perf_counter()
        fields = rule()
        found[name] = {"error": float((fields - truth).norm() / truth.norm()), "sweeps": count,
                       "seconds": time.perf_counter() - began}
    alone = ALONE.alone(100, seed=50 + case)
    walls = {side: alone["walls"][:, k] for k, side in enumerate(SIDES)}
    error = float((own(model, {"source": alone["source"], **walls}) - alone["u"]).norm() / alone["u"].norm())
    return found | {"the component on data of its own": {"error": error, "sweeps": 1.0, "seconds": 0.0}}


def stacked(system: Elements, fields: dict[str, Tensor]) -> Tensor:
    """The fields of all elements, ``(elements, n, n)``."""
    return torch.cat([fields[name] for name in system.names])


def told(system: Elements, fields: Tensor, source: Tensor) -> dict[str, Tensor]:
    """What each element is told by all others, a row each."""
    named = {name: fields[k: k + 1] for k, name in enumerate(system.names)}
    walls = torch.cat([system.walls(name, named, source) for name in system.names])
    sources = torch.cat([system.source_of(name, source) for name in system.names])
    return {"source": sources, **{side: walls[:, k] for k, side in enumerate(SIDES)}}


def own(model: Known, parts: dict[str, Tensor]) -> Tensor:
    """Each element by itself."""
    return model.surrogate(**parts)


def ours(one: sg.Problem, system: Elements, source: Tensor) -> tuple[Tensor, float]:
    """All elements that agree, and the sweeps that it took."""
    neighbours = [system.neighbours(name) for name in system.names]
    graph = {side: [-1 if n[k] is None else int(n[k][1:]) for n in neighbours] for k, side in enumerate(SIDES)}
    u = one.layout["u"]
    shared = {"w0": u[-1], "w1": u[0], "w2": u[:, -1], "w3": u[:, 0]}
    problem = components(one, graph, shared)
    prior = Conditionals(problem.prior.blocks, problem.prior.size, 60, 0, tolerance=1e-5)
    problem = replace(problem, prior=prior)
    known = {"source": told(system, torch.zeros(len(neighbours), 8, 8).double(), source)["source"]}
    known |= {k: torch.zeros(v.shape).double() for k, v in problem.layout.variables.items() if k in SIDES}
    problem = problem.given(**known)
    found = problem.energy().evaluate(torch.zeros(1, problem.size).double(), torch.tensor(HIGH).double())
    x = HIGH**2 * found.score
    return problem.parts(x)["u"][0], float(found.told["sweeps"])


def schwarz(system: Elements, source: Tensor, sweeps: float) -> Tensor:
    """Block Gauss-Seidel with the exact component, from zero."""
    fields = {name: torch.zeros(1, 8, 8).double() for name in system.names}
    for _ in range(int(sweeps)):
        for name in system.names:
            fields = fields | {name: system.component(name)(source=source, **fields)}
    return stacked(system, fields)


def m2pde(model: Known, system: Elements, source: Tensor, steps: int) -> Tensor:
    """M2PDE's rule for elements: all at once, two passes, the second blended with the first."""
    levels = karras(steps - 1, 0.01, HIGH, dtype=torch.float64).tolist()
    draws = Draws(len(system.names), 1, torch.float64)
    estimate, x = model.physical(draws(model.size)), draws(model.size)
    for turn in range(2):
        before, estimate, x = estimate, model.physical(draws(model.size)), levels[0] * draws(model.size)
        for i, (a, b) in enumerate(zip(levels, [*levels[1:], 0.0])):
            share = 1.0 if turn == 0 else i / (steps - 1)
            mean = model.mean(x, a, told(system, share * estimate + (1 - share) * before, source))
            x, estimate = draws.step(x, mean, a, b), model.physical(mean)
    return model.physical(x)
