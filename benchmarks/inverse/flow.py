r"""Navier and Stokes' initial vorticity from points of the vorticity a time unit later: rows of its own.

The law of the start is Gaussian and known, the flow between is not linear, and backwards it is ill-posed: viscosity
damps a mode by :math:`e^{-\nu |k|^2}`. Classical are kriging of what is seen and the flow run backwards, and 4D-Var:
descent with the solver's adjoint to the most probable start, from the law's mean and in its white noise, by "A Limited
Memory Algorithm for Bound Constrained Optimization" (Byrd et al., 1995), https://doi.org/10.1137/0916069. All but the
backward flow use 4 steps of the solver instead of 10: 2e-5 off, where the data have 1e-2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from sciencegen.exact import Gaussian
from sciencegen.guide import Moments
from sciencegen.linear import linearised
from sciencegen.physics import NavierStokes, resolve
from sciencegen.random import Streams
from sciencegen.studies.pde.pairs import pairs

from .row import Answer
from .task import Question, Task

STEPS = 4
FAR = 1e3  # a level at which a state of unit spread says nothing


def is_flow(task: Task) -> bool:
    """Navier and Stokes."""
    return isinstance(task.system, NavierStokes)


@lru_cache(1)
def known(n: int, count: int = 2000, shifts: int = 8) -> dict[str, Tensor]:
    """Training pairs ``a, u (count shifts, n^2)``, each at several places along which the force is the same."""
    made = pairs(resolve("navier-stokes", n), count, 0)
    moves = [round(n * i / shifts) for i in range(shifts)]
    return {k: torch.cat([v.reshape(-1, n, n).roll((m, -m), (1, 2)).flatten(1) for m in moves]).float()
            for k, v in made.items()}


def answer(system: NavierStokes, a: Tensor, solves: float, mean: Tensor | None = None) -> Answer:
    """Starts ``(C, S, n, n)`` with what they lead to."""
    given = {} if mean is None else {"a": mean.double()}
    return Answer({"a": a.double(), "u": system.advance(a.double())}, given, solves=solves)


@dataclass(frozen=True)
class Backward:
    """Kriging of the later vorticity by the fitted spectrum, then the flow backwards with modes up to ``cut`` alone.

    The best of 4, 5, 6, 6.5, 7, 7.5, 8, 9 and 10 on eight other cases (18.7 to 7.8 %).
    """

    cut: float = 9.0
    samples: int = 1
    name: str = "kriging + backward integration"

    def suits(self, task: Task) -> bool:
        return is_flow(task)

    def __call__(self, question: Question) -> Answer:
        system = question.task.system
        back = replace(system, frame=-system.frame / system.steps, steps=1)
        w = filtered(system, self.cut, kriged(question))
        for _ in range(system.steps):
            w = filtered(system, self.cut, back.advance(w))
        return answer(system, w[:, None], solves=1)


def kriged(question: Question) -> Tensor:
    """The later vorticity ``(C, n, n)`` from its points: fitted mean, and the fitted spectrum as covariance."""
    (cells,), n = question.where.values(), question.task.grid
    u = known(n)["u"].double()
    center = u.mean(0)
    spectrum = torch.fft.fft2((u - center).unflatten(1, (n, n))).abs().square().mean(0)
    kernel = torch.fft.ifft2(spectrum).real / n**2
    x, y = torch.arange(n**2) // n, torch.arange(n**2) % n
    cov = kernel[(x[:, None] - x[cells]) % n, (y[:, None] - y[cells]) % n]
    gain = torch.linalg.solve(cov[cells] + question.noise.square().diag(), cov.mT).mT
    return (center + (question.data - center[cells]) @ gain.mT).unflatten(1, (n, n))


def filtered(system: NavierStokes, cut: float, w: Tensor) -> Tensor:
    """``w (*B, n, n)`` without modes beyond ``cut`` waves to a side."""
    basis = system.starts().basis
    kept = basis.laplacian() <= (2 * math.pi * cut) ** 2
    return basis.collect(basis.expand(w) * kept)


@dataclass(frozen=True)
class Linear:
    """The best linear estimate from training pairs; their own misfits, corrected alike, are its samples."""

    samples: int = 19
    name: str = "best linear: fitted Gaussian"

    def suits(self, task: Task) -> bool:
        return is_flow(task)

    def __call__(self, question: Question) -> Answer:
        (cells,), n = question.where.values(), question.task.grid
        a, seen = known(n)["a"], known(n)["u"][:, cells]
        noise, data = question.noise.float(), question.data.float()
        a0, seen0 = a.mean(0), seen.mean(0)
        cov = ((seen - seen0).mT @ (seen - seen0) / len(seen)).double() + question.noise.square().diag()
        cross = (seen - seen0).mT @ (a - a0) / len(seen)
        gain = torch.linalg.solve(cov, cross.double()).float()
        count = len(data) * self.samples
        rows = torch.arange(question.first * self.samples, question.first * self.samples + count) % len(a)
        kicks = noise * Streams(torch.arange(count), 1 + question.first).normal(len(noise), noise.dtype)
        found = a[rows] + (data.repeat_interleave(self.samples, 0) + kicks - seen[rows]) @ gain
        mean = (a0 + (data - seen0) @ gain).unflatten(1, (n, n))
        return answer(question.task.system, found.reshape(len(data), self.samples, n, n), 0, mean)


def read(question: Question, dtype: torch.dtype) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Starts ``(*B, n, n)``, and what the sensors read ``(*B, m)``, of white noise ``(*B, n^2)``: the law's own."""
    (cells,), system = question.where.values(), question.task.system
    quick, law = replace(system, steps=STEPS), system.starts()
    spread, functions = law.variances().sqrt().to(dtype), law.basis.functions().to(dtype)
    start = lambda z: functions.mT @ (z.unflatten(-1, spread.shape) * spread) @ functions
    return start, lambda z: quick.advance(start(z)).flatten(-2)[..., cells]


@dataclass(frozen=True)
class Variational:
    """The most probable start, by L-BFGS with the solver's adjoint: 4D-Var, given the true law."""

    iterations: int = 200
    samples: int = 1
    name: str = "4D-Var (L-BFGS, adjoint)"

    def suits(self, task: Task) -> bool:
        return is_flow(task)

    def __call__(self, question: Question) -> Answer:
        start, see = read(question, torch.float32)
        found, calls = [], 0

        def cost(z: np.ndarray, data: Tensor) -> tuple[float, np.ndarray]:
            at = torch.from_numpy(z).float().requires_grad_()
            value = (at.square().sum() + ((see(at[None])[0] - data) / question.noise).square().sum()) / 2
            return float(value.detach()), torch.autograd.grad(value, at)[0].double().numpy()

        for data, _ in question.each():
            best = minimize(cost, np.zeros(question.task.grid**2), (data,), "L-BFGS-B", True,
                            options={"maxiter": self.iterations, "maxcor": 30})
            calls += best.nfev
            found.append(start(torch.from_numpy(best.x).float()))
        return answer(question.task.system, torch.stack(found)[:, None], 2 * calls / len(found))


@dataclass(frozen=True)
class Solver:
    """This package: the start's own law, given the solver as a measurement that is linearised where the posterior is.

    Moments gives the posterior mean in closed form. From the law's mean the solver is linearised ``rounds`` times; the
    last time its value alone is taken anew for ``refined`` more means (a chord's steps, which cost next to nothing).
    Then samples, exact of what is linear.
    """

    rounds: int = 2
    refined: int = 3
    samples: int = 19
    name: str = "ours, exact Gaussian + solver"

    def suits(self, task: Task) -> bool:
        return is_flow(task)

    def __call__(self, question: Question) -> Answer:
        start, see = read(question, torch.float32)
        prior = Gaussian(torch.zeros(question.task.grid**2), 1.0)
        first = linearised(see, prior.center)[0]  # shared by all cases
        found, means = [], []
        for data, case in question.each():
            at = prior.center
            for turn in range(self.rounds):
                A = linearised(see, at)[0] if turn else first
                for _ in range(1 + self.refined * (turn == self.rounds - 1)):
                    level = data.float() - see(at[None])[0] + A @ at
                    energy = Moments(prior, A, level, question.noise, 0, around=prior)
                    at = energy.mean(prior.center[None], torch.tensor(FAR))[0]
            noise = Streams(torch.arange(self.samples) + case * self.samples)
            far = FAR * noise.normal(len(at), at.dtype)
            found.append(start(energy.draw(far, torch.tensor(FAR), noise.at(1))))
            means.append(start(at))
        count = self.rounds - 1 + 1 / len(found)
        return answer(question.task.system, torch.stack(found), 2 * count * len(question.noise), torch.stack(means))
