"""Design: samples of a prior that are tilted to a low objective, and judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from ..energy import Energy, level
from ..guide import Tweedie
from ..problem import Constraint, Parts, Problem
from ..result import Result
from ..sample import Sampler
from .doors import check_count, check_start, probe
from .sampling import Sampling
from .scatter import Pool, RowsOf

__all__ = ["Terms", "design"]

Weight = float | Callable[[Tensor], Tensor]
TERMS = ("objective", "laws", "acceptance")  # names that a history has already


def design(problem: Problem, objective: Parts, weight: Weight, sampler: Sampler, count: int,
           judge: Parts | None = None, constraints: Sequence[Parts | Constraint] = (), seeds: Tensor | None = None,
           start: Tensor | None = None, progress: bool = True, device: torch.device | str | None = None,
           executor: Pool | None = None) -> Result:
    """Samples of ``prior * exp(-weight * objective)`` under laws and constraints: feasible ones first, the best ahead.

    ``parts -> layout.pack -> Tweedie(prior, laws + weight * objective) -> sampler -> layout.unpack -> judge -> sort``.

    Arguments:
        objective: ``(**parts) -> (*B,)``, low is good; its gradients guide.
        weight: of the objective, an inverse temperature: ``1 / weight`` is the excess that is tolerated. A number, or a
            function of sigma, which may return one a sample, ``(count, 1)``.
        sampler: noise grid, step and corrector.
        count: samples.
        judge: ``(**parts) -> (*B,)``, a true solver's word on the finished samples, not finite where it fails; the
            objective itself if there is none.
        constraints: ``(**parts) -> (*B,) or (*B, m) <= 0``, bare or as :class:`Constraint`.
        seeds: ``(count,)`` one random stream a sample; fresh ones by default.
        start: states ``(count, d)`` at level ``sampler.sigmas[0]`` instead of noise.
        progress: show a bar where there is a terminal.
        device: where to run; the prior's unless given.
        executor: anything with ``submit``, to draw parts of the samples at the same time: the same samples, to
            rounding (:mod:`.scatter`). What is asked has to be such that it can be sent; ``device`` is the workers'.
    """
    problem = problem if executor is not None else problem.to(device)
    kept = named(constraints)
    count = check_count(count, problem.size, seeds)
    check_start(start, count, problem.size)
    for function, axes in (objective, (1,)), *((c.function, (1, 2)) for c in kept.values()):
        probe(problem, function, axes, sampler)
    tilted = lambda rows: partial(_tilted, objective, _weight(weight, rows, count), tuple(kept.values()))
    if executor is None:
        run = tilted(None)(problem)
        x = run(sampler, count, seeds, start, progress, "design")
    else:
        run, x = Sampling.scattered(tilted, problem, sampler, count, seeds, start, progress, "design", device, executor)
    with torch.no_grad():
        parts = problem.parts(x)
        fun = torch.as_tensor((judge or objective)(**parts)).to(x)
        if fun.shape != x.shape[:1]:
            raise ValueError(f"got {tuple(fun.shape)} from {judge or objective!r}; expected ({count},), one a sample")
        values = {name: c.function(**parts) for name, c in kept.items()}
        held = [c.holds(values[name]) for name, c in kept.items()]
        met = torch.stack([x.isfinite().all(-1) & fun.isfinite(), *held]).all(0)
    order = torch.where(fun.isfinite(), fun, torch.inf).argsort(stable=True)
    asked = {"task": "design", "objective": called(objective), "weight": weight if isinstance(weight, float | int) else
             called(weight), "constraints": list(kept), "judge": None if judge is None else called(judge)}
    return run.result(x, fun, met, order[(~met[order]).long().argsort(stable=True)], values, asked)


def _tilted(objective: Parts, weight: Weight, constraints: Sequence[Constraint], problem: Problem) -> Sampling:
    """The run of a problem's samples."""
    return Sampling(Tweedie(problem.energy(), Terms(problem, objective, weight, constraints)), problem)


def _weight(weight: Weight, rows: Tensor | None, count: int) -> Weight:
    return RowsOf(weight, rows, count) if callable(weight) and rows is not None else weight


def named(constraints: Sequence[Parts | Constraint]) -> dict[str, Constraint]:
    """Constraints by the names that a result has for them: those that a user gave, else constraint_0 and so on."""
    found: dict[str, Constraint] = {}
    for number, given in enumerate(constraints):
        constraint = given if isinstance(given, Constraint) else Constraint(given)
        name = constraint.name or f"constraint_{number}"
        while name in found or name in TERMS:
            name += "_"
        found[name] = constraint
    return found


def called(function: Callable[..., object]) -> str:
    """The name of a function, or how it prints."""
    return getattr(function, "__name__", None) or repr(function)


class Terms(Energy):
    """Objective, constraints and laws of a problem as one energy of the clean state; tells what each is."""

    def __init__(self, problem: Problem, objective: Parts, weight: Weight, constraints: Sequence[Constraint]) -> None:
        super().__init__()
        self.problem, self.objective, self.weight, self.constraints = problem, objective, weight, named(constraints)
        self.laws = problem.law()
        self.exact = self.laws is None or self.laws.exact
        self.exact_from = 0.0 if self.laws is None else self.laws.exact_from

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.tell(x, sigma)[0]

    def tell(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        parts, sigma = self.problem.parts(x), level(sigma, x)
        weight = self.weight(sigma) if callable(self.weight) else self.weight
        weight = weight.to(x).squeeze(-1) if isinstance(weight, Tensor) and weight.ndim else weight
        energies = {"objective": weight * self.objective(**parts)}
        energies |= {name: c.energy(parts, sigma) for name, c in self.constraints.items()}
        energies |= {} if self.laws is None else {"laws": self.laws(x, sigma)}
        return sum(energies.values()), energies
