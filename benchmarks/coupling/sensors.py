"""S: what no rival has: a coupled inversion from sensors of one field, with coverage, and a coupled design.

S1: the Gaussian pair of G at rho .9, its fields correlated place by place, u read at 8 points with noise .1: the
posterior of v, beside the exact one. S2: conduction with feedback: the load at which the mean temperature is a wanted
one, judged by the coupled solver.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

import sciencegen as sg
from sciencegen.coupling import couple, residuals
from sciencegen.metrics import coverage
from sciencegen.physics.coupled import Conduction
from sciencegen.sample import Multistep, karras

from .gaussian import LAYOUT, Hidden, N, decoupled, joint

__all__ = ["sensors"]

RHO, PLACES, NOISE = 0.9, tuple(range(2, N, 4)), 0.1


def sensors(quick: bool) -> Iterator[dict[str, Any]]:
    """Rows of the inversion, then of the design."""
    law = joint(RHO, turned=False)
    whole = sg.Problem(LAYOUT, law)
    ours = couple(**{k: sg.Problem(LAYOUT, Hidden(decoupled(law, k))) for k in ("u", "v")})
    cases, members = (3, 19) if quick else (16, 39)
    truth = law.center + law.coloured(normal(cases, 2 * N, 4))
    for name, problem in (("exact joint prior, same sampler", whole), ("ours", ours)):
        began, found = time.perf_counter(), []
        for case in range(cases):
            read = truth[case, list(PLACES)] + NOISE * normal(1, len(PLACES), 100 + case)[0]
            sampler = Multistep(karras(12, 0.02, 40.0, dtype=torch.float64))
            result = sg.invert(problem, sg.Entries("u", (list(PLACES),)), read, NOISE, sampler, members,
                               torch.arange(members) + 1000 * case, progress=False)
            found.append(scored(torch.as_tensor(result.samples.v.values), truth[case, N:]))
        yield {"task": "S1: v from 8 sensors of u", "row": name, "n": cases, **mean(found),
               "seconds": time.perf_counter() - began}
    yield {"task": "S1: v from 8 sensors of u", "row": "exact posterior", "n": cases, **mean(exact(law, truth))}
    yield from designed()


def exact(law: sg.Gaussian, truth: Tensor) -> list[dict[str, float]]:
    """Scores of draws of the posterior in closed form."""
    gain = law.cov[:, list(PLACES)] @ torch.linalg.inv(
        law.cov[list(PLACES)][:, list(PLACES)] + NOISE**2 * torch.eye(len(PLACES), dtype=torch.float64))
    cov = law.cov - gain @ law.cov[list(PLACES)]
    posterior, found = sg.Gaussian(torch.zeros(2 * N, dtype=torch.float64), (cov + cov.mT) / 2), []
    for case, true in enumerate(truth):
        read = true[list(PLACES)] + NOISE * normal(1, len(PLACES), 100 + case)[0]
        mean = law.center + gain @ (read - law.center[list(PLACES)])
        found.append(scored((mean + posterior.coloured(normal(39, 2 * N, 7 + case)))[:, N:], true[N:]))
    return found


def scored(draws: Tensor, true: Tensor) -> dict[str, float]:
    """Error of the mean, spread of the draws, and how much 90 % intervals hold."""
    return {"error": float((draws.mean(0) - true).square().mean().sqrt()),
            "spread": float(draws.var(0).mean().sqrt()), "coverage": float(coverage(draws, true))}


def mean(found: list[dict[str, float]]) -> dict[str, float]:
    """Over cases; errors and spreads as roots of mean squares."""
    over = lambda key, power: (sum(f[key] ** power for f in found) / len(found)) ** (1 / power)
    return {"error": over("error", 2), "spread": over("spread", 2), "coverage": over("coverage", 1)}


def designed() -> Iterator[dict[str, Any]]:
    """The load for a wanted mean temperature: both components' residuals and the wish, in one sum."""
    system = Conduction(50.0, n=32)
    layout = sg.Layout(u=sg.Variable((32,), 1.5, 0.75), v=sg.Variable((32,), 30.0, 15.0),
                       load=sg.Variable((1,), 60.0, 30.0))
    components = residuals(layout, 1e-4, u=lambda v, **_: system.temperature(v),
                           v=lambda u, load, **_: system.source(u, load))
    for wanted in (0.6, 1.0, 1.4):
        began = time.perf_counter()
        wish = sg.Residual(lambda x, w=wanted: layout.unpack(x)["u"].mean(-1, keepdim=True) - w, 1e-4)
        start = system.elsewhere["u"].sample(system.fields["u"], 3, seed=1)
        load = torch.tensor([[20.0], [50.0], [100.0]], dtype=torch.float64)
        found = sg.settle(components + wish, {"u": start, "v": system.source(start, load), "load": load}, layout)
        best = torch.as_tensor(found.samples["load"].values[:1])
        reached = float(system.referee(load=best)["u"].mean())
        yield {"task": "S2: the load for a mean temperature", "row": f"ours, {wanted}", "n": 3, "load": float(best),
               "error": abs(reached - wanted), "calls": float(found.nfev), "seconds": time.perf_counter() - began}


def normal(count: int, size: int, seed: int) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
