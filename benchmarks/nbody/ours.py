r"""Designs of the same trained pair by each way of counting it, with and without correction, and the whole study.

*Averaged* is what the original does: the network's scores of a coordinate, one from each window (pair) that it is in,
are averaged; no energy has such a score. The other countings are those of :mod:`sciencegen.studies.nbody.compose`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sciencegen.calls import Plan
from sciencegen.compose import bethe
from sciencegen.energy import Energy, Evaluation, score_only
from sciencegen.layout import Layout, View
from sciencegen.sample import Sampler, karras
from sciencegen.studies.nbody.compose import STRIDE, Known, enlarge
from sciencegen.studies.nbody.study import NBodyStudy

from .floors import Packing, Question
from .scoring import objective

__all__ = ["Averaged", "Composed", "Designed", "Flown", "Turned", "countings"]

Counting = Callable[[Known, View, int], Energy]


class Averaged(Energy):
    """The scores of a part's copies, averaged over those that each coordinate is in; score only."""

    exact = False

    def __init__(self, energy: Energy, view: View) -> None:
        super().__init__()
        self.sum = energy.on(view)
        self.register_buffer("coverage", view.adjoint(torch.ones(view.rows.shape)), persistent=False)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        raise score_only(self)

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        return self.sum.plan(x, sigma).then(lambda e: Evaluation(None, e.score / self.coverage, e.told))

    def __repr__(self) -> str:
        return f"Averaged({self.sum!r})"


def windows_averaged(known: Known, u: View, length: int, times: float, singles: float) -> Energy:
    """``times`` the pairs, averaged over windows and partners, minus ``singles`` the bodies, averaged over windows."""
    windows = u.windows(length, STRIDE)
    pairs = times * Averaged(known.pair, windows.pairs(axis=1))
    return pairs - singles * Averaged(known.single, windows.each(axis=1)) if singles else pairs


def countings(bodies: int, frames: int) -> dict[str, Counting]:
    """By name: windows averaged or minus overlaps, pairs averaged, summed or by Bethe; equal ones once."""
    many = bodies - 1
    overlaps = {"pairs averaged": lambda known, u, _: 1 / many * known.pairs(u),
                "pairs summed": lambda known, u, _: known.pairs(u),
                "Bethe": lambda known, u, _: bethe(known.pairs, known.singles, u)}
    averaged = {"pairs averaged": lambda *a: windows_averaged(*a, 1.0, 0.0),
                "pairs summed": lambda *a: windows_averaged(*a, many, 0.0),
                "Bethe": lambda *a: windows_averaged(*a, many, bodies - 2.0)}
    if bodies == 2:
        overlaps, averaged = ({"one pair": of["Bethe"]} for of in (overlaps, averaged))
    named = {f"windows minus overlaps, {k}": v for k, v in overlaps.items()}
    if frames == 24:
        return {k.removeprefix("windows minus overlaps, "): v for k, v in named.items()}
    return {f"windows averaged, {k}": v for k, v in averaged.items()} | named


class Flown(NamedTuple):
    """Designs ``trajectory (count, T, n, 4)`` and, for each, rollouts and network evaluations one after the other."""

    trajectory: Tensor
    rollouts: float
    evaluations: int


@dataclass(frozen=True)
class Composed:
    """What the network alone hands over, by one way of counting; where not corrected, at as many evaluations."""

    name: str
    study: NBodyStudy
    counting: Counting
    corrected: bool

    def __call__(self, question: Question) -> Flown:
        def composed(layout: Layout, energy: Energy, frames: int, bodies: int) -> tuple[Layout, Energy]:
            many = enlarge(layout, frames, bodies)
            return many, self.counting(Known.of(layout, energy), many["trajectory"], 24)

        study = replace(_asked(self.study, question), composed=composed,
                        sampler=self.study.sampler if self.corrected else _plain(self.study.sampler))
        made = study.sample(question.count, _seeds(question), progress=False)
        return Flown(torch.tensor(made.samples["trajectory"].values), 0.0, _evaluations(study.sampler))


@dataclass(frozen=True)
class Designed:
    """The study as a user runs it: half as many again sampled, the worst dropped, the rest refined by the solver."""

    name: str
    study: NBodyStudy
    rollouts: int = 80

    def __call__(self, question: Question) -> Flown:
        study = replace(_asked(self.study, question), rollouts=self.rollouts)
        made = study.run(question.count, _seeds(question), progress=False)
        trajectory = torch.tensor(made.samples["trajectory"].values)
        return Flown(trajectory, made.config["spent"]["rollouts"] / question.count, _evaluations(study.sampler))


@dataclass(frozen=True)
class Turned:
    """All of the study but the network: its steps by the solver, from packings and random starts."""

    name: str
    study: NBodyStudy
    rollouts: int = 80

    def __call__(self, question: Question) -> Flown:
        study, many = _asked(self.study, question), replace(question, count=question.count + question.count // 2)
        flights = torch.stack([many.starts(1)[:, 0], Packing()(many).start], 1)
        start = study.mend(flights, _seeds(many), self.rollouts)
        with torch.no_grad():
            flown = study.solve(start)
        best = np.lexsort([study.objective(flown).numpy(), ~study.feasible(start).numpy()])[: question.count]
        return Flown(flown[best], (5 + self.rollouts) * many.count / question.count, 0)


def _plain(sampler: Sampler) -> Sampler:
    """As many evaluations, all of them steps and none corrections."""
    steps, high, low = _evaluations(sampler) - 1, float(sampler.sigmas[0]), float(sampler.sigmas[-1])
    return replace(sampler, sigmas=karras(steps, low, high, dtype=sampler.sigmas.dtype), corrector=None)


def _asked(study: NBodyStudy, question: Question) -> NBodyStudy:
    return replace(study, bodies=question.bodies, frames=question.frames, system=question.system,
                   objective=lambda trajectory: objective(trajectory, question.target))


def _seeds(question: Question) -> Tensor:
    return torch.arange(question.count) + question.seed * 2**20


def _evaluations(sampler: Sampler) -> int:
    steps, kernel = len(sampler.sigmas) - 1, sampler.corrector
    return steps * (1 + (0 if kernel is None else kernel.repeats)) + 1
