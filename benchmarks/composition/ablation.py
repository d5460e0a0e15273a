r"""Which counting, and how much correction: parts of Gaussians put together, against the law that they are parts of.

The sum of noised energies is the noised energy of the sum only at ``sigma = 0``, so that two things can go wrong: the
counting (the wrong law at ``sigma = 0``, which no correction mends) and the path (the right law, not reached).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sciencegen.energy import Energy
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout
from sciencegen.mcmc import HMC
from sciencegen.random import Streams
from sciencegen.sample import Ancestral, Heun, karras

from .original import Averaged
from .report import ADJUSTED

__all__ = ["REPEATS", "Regime", "adjusted", "cell", "drawn", "errors", "floor", "regimes", "table"]

LOW, LEVELS, HIGH, STEP = 0.02, 25, 30.0, 0.5
REPEATS = (0, 1, 4, 16, 64)


@dataclass(frozen=True)
class Regime:
    """A law, and ways to count the parts that it is put together from."""

    name: str
    truth: Tensor
    countings: Mapping[str, Energy]


def regimes() -> Iterator[Regime]:
    """Markov chains in time, and bodies coupled in pairs."""
    for rho in (0.5, 0.9, 0.99):
        yield _chain(rho)
    for name, coupling in (("weakly", 0.1), ("strongly", 1.0)):
        yield _bodies(f"6 bodies, all coupled {name}", coupling)
    for name, edges in (("tree", [(0, i) for i in range(1, 5)]), ("ring", [(i, (i + 1) % 5) for i in range(5)])):
        yield _graph(f"5 bodies on a {name}, coupled strongly", edges, 2.0)


def _chain(rho: float, length: int = 24, window: int = 8, stride: int = 4) -> Regime:
    """A stationary AR(1) chain of unit variance, from windows of 8 that overlap by 4."""
    steps = torch.arange(length, dtype=torch.float64)
    truth = rho ** (steps[:, None] - steps).abs()
    u, part = Layout(u=(length,))["u"], Gaussian(torch.zeros(window, dtype=torch.float64), truth[:window, :window])
    overlap = part.marginal(Layout(u=(window,))["u"][: window - stride])
    summed = part.on(u.windows(window, stride))
    between = overlap.on(u[stride:-stride].windows(window - stride, stride))
    return Regime(f"chain, rho = {rho:g}", truth, {
        "averaged": Averaged(part, u.windows(window, stride)), "summed": summed, "minus overlaps": summed - between})


def _precision(bodies: int, edges: Sequence[tuple[int, int]], coupling: float) -> Tensor:
    found = torch.eye(bodies, dtype=torch.float64)
    for i, j in edges:
        bond = torch.zeros(bodies, dtype=torch.float64)
        bond[[i, j]] = torch.tensor([1.0, -1.0], dtype=torch.float64)
        found = found + coupling * bond[:, None] * bond
    return found


def _bodies(name: str, coupling: float, bodies: int = 6) -> Regime:
    """Every body on a spring, every two on another; the parts are the laws of two bodies alone and of one alone."""
    edges = [(i, j) for i in range(bodies) for j in range(i + 1, bodies)]
    body = Layout(body=(bodies, 1))["body"]
    pair = Gaussian(torch.zeros(2, dtype=torch.float64), torch.linalg.inv(_precision(2, [(0, 1)], coupling)))
    alone = Gaussian(torch.zeros(1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64))
    masked = pair.marginal(Layout(body=(2, 1))["body"][0])
    pairs, extra = pair.on(body.pairs()), float(bodies - 2)
    return Regime(name, torch.linalg.inv(_precision(bodies, edges, coupling)), {
        "averaged": Averaged(pair, body.pairs()), "summed": pairs,
        "Bethe, a pair's marginal": pairs - extra * masked.on(body.each()),
        "Bethe, a body alone": pairs - extra * alone.on(body.each())})


def _graph(name: str, edges: Sequence[tuple[int, int]], coupling: float, bodies: int = 5) -> Regime:
    """Bodies coupled along edges only; the parts are marginals of the whole: of the edges and of single bodies."""
    truth = torch.linalg.inv(_precision(bodies, edges, coupling))
    whole, body = Gaussian(torch.zeros(bodies, dtype=torch.float64), truth), Layout(body=(bodies,))["body"]
    degree = [sum(i in edge for edge in edges) for i in range(bodies)]
    summed = sum(whole.marginal(body[list(edge)]).on(body[list(edge)]) for edge in edges)
    singles = sum((n - 1.0) * whole.marginal(body[[i]]).on(body[[i]]) for i, n in enumerate(degree) if n > 1)
    return Regime(name, truth, {"summed": summed, "Bethe": summed - singles})


def table(count: int) -> list[dict[str, Any]]:
    """Every cell; ``count`` samples for the one correction that has to be sampled."""
    found = []
    for regime in regimes():
        for counting, energy in regime.countings.items():
            for stochastic in (False, True):
                which = {"regime": regime.name, "counting": counting, "stochastic": stochastic}
                found += [which | cell(regime, counting, n, stochastic) | {
                    "correction": f"{n} Langevin" if n else "none", "evaluations": evaluations(n, stochastic)}
                    for n in REPEATS]
                if energy.exact:
                    found.append(which | {"correction": ADJUSTED, "evaluations": evaluations(16, stochastic)}
                                 | adjusted(regime, counting, stochastic, count))
        found.append({"regime": regime.name, "counting": f"{count} exact draws", "stochastic": True,
                      "correction": "none", "evaluations": 0} | floor(regime, count))
    return found


def evaluations(repeats: int, stochastic: bool) -> int:
    """Scores a sample: of the steps, and of the corrections (one more a level, of where they start)."""
    return LEVELS * ((1 if stochastic else 2) + (repeats + 1 if repeats else 0)) + 1


def errors(truth: Tensor, found: Tensor) -> dict[str, float]:
    r"""Of a covariance ``C'`` beside the truth ``C``, three ways that see different things.

    ``covariance``: ``|C' - C| / |C|`` (Frobenius): the loose directions, what designs there are. ``stiff``:
    ``sqrt(tr C^{-1} C' / d)``, one for the truth: the tight ones, how well a sample keeps the law. ``wasserstein``:
    Wasserstein-2 of the Gaussians, over ``sqrt(tr C)``.
    """
    if not bool(found.isfinite().all()) or float(found.diagonal().max()) > 1e2 * float(truth.diagonal().max()):
        return dict.fromkeys(("covariance", "stiff", "wasserstein"), math.inf)
    root = _root(truth)
    square = truth.trace() + found.trace() - 2 * _root(root @ found @ root).trace()
    return {"covariance": float((found - truth).norm() / truth.norm()),
            "stiff": math.sqrt(float(torch.linalg.solve(truth, found).trace()) / len(truth)),
            "wasserstein": float((square.clamp_min(0) / truth.trace()).sqrt())}


def _root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh((matrix + matrix.mT) / 2)
    return vectors * values.clamp_min(0).sqrt() @ vectors.mT


@torch.no_grad()
def cell(regime: Regime, counting: str, repeats: int, stochastic: bool) -> dict[str, float]:
    """Errors after unadjusted Langevin corrections, ``repeats`` a level, along the ODE or its stochastic twin.

    Free of chance: every step is linear plus noise, so that the covariance itself is walked down the levels.
    """
    energy, levels = regime.countings[counting], karras(LEVELS, LOW, HIGH, dtype=torch.float64)
    eye = torch.eye(len(regime.truth), dtype=torch.float64)
    slope = {float(sigma): energy.score(eye, sigma) for sigma in levels}  # a linear score by its rows
    cov = levels[0] ** 2 * eye
    for a, b in zip(levels[:-1].tolist(), levels[1:].tolist()):
        if stochastic:
            down = b**2 / a
            cov = _moved(cov, eye + (a - down) * a * slope[a]) + (b**2 - down**2) * eye
        else:
            first = -a * slope[a]
            cov = _moved(cov, eye + (b - a) / 2 * (first - (eye + (b - a) * first) @ (b * slope[b])))
        for _ in range(repeats):
            cov = _moved(cov, eye + (STEP * b) ** 2 / 2 * slope[b]) + (STEP * b) ** 2 * eye
    return errors(regime.truth, _moved(cov, eye + LOW**2 * slope[float(levels[-1])]))


def _moved(cov: Tensor, step: Tensor) -> Tensor:
    """Of rows ``x @ step``."""
    return step.mT @ cov @ step


@torch.no_grad()
def adjusted(regime: Regime, counting: str, stochastic: bool, count: int) -> dict[str, float]:
    """Errors of ``count`` samples with Metropolis-adjusted corrections, four a level of four leaps each."""
    return errors(regime.truth, drawn(regime, counting, HMC(lambda s: STEP * s, 4, True, 4), stochastic, count))


@torch.no_grad()
def drawn(regime: Regime, counting: str, kernel: HMC | None, stochastic: bool, count: int) -> Tensor:
    """Covariance of ``count`` samples by the package's samplers."""
    energy, levels = regime.countings[counting], karras(LEVELS, LOW, HIGH, dtype=torch.float64)
    walk, seeds = (Ancestral if stochastic else Heun)(levels, kernel), torch.arange(count)
    return energy.mean(walk(energy, walk.start(count, len(regime.truth), seeds), seeds), LOW).mT.cov()


def floor(regime: Regime, count: int) -> dict[str, float]:
    """Errors of as many exact draws."""
    draws = Streams(torch.arange(count), 99).normal(len(regime.truth)) @ torch.linalg.cholesky(regime.truth).mT
    return errors(regime.truth, draws.mT.cov())
