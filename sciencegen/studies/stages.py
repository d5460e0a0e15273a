"""The stages of a study: an ensemble of designs in, an ensemble out.

*Compose* draws more designs than are asked for from a prior under guidance; *Decode* reads physical objects off them;
*Refine* takes them down an energy; *Adjust* moves them by any other rule; *Keep* drops the worst; *Solve* has a solver
judge them; *Polish* runs the best ones through further stages. After an interrupt from the keyboard those that only
improve designs are left out, so that what is there is decoded and judged as it is.

A function that a stage calls sees the designs that are not rejected as a dataset, dim ``sample``, and returns the
variables that it changes or adds. ``fun`` and ``reason`` among them are the objective and why a design is rejected;
``attrs["spent"]`` says what it cost.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
import xarray
from torch import Tensor

from ..random import spares
from ..result import Result
from ..sample import Sampler
from ..tasks import Constraint, Problem, design
from .ensemble import Ensemble

__all__ = ["Adjust", "AllRejected", "Compose", "Decode", "Function", "Keep", "Polish", "Refine", "Solve", "Stage"]

Function = Callable[[xarray.Dataset], xarray.Dataset]
ABSURD = 100.0  # standard units beyond which a sample has left the prior for good
DIVERGED, UNSOLVED = "the sample diverged", "the solver has no answer"


class AllRejected(ValueError):
    """Of a study's designs none is left that a solver could judge; why, in words."""


class Stage(Protocol):
    """One step of a study; ``improves`` says that an interrupted study does without it."""

    improves: bool

    def __call__(self, designs: Ensemble) -> Ensemble:
        """The ensemble after the stage."""


@dataclass(frozen=True)
class Compose:
    """Samples of a composed prior, guided by an objective under constraints (:func:`sciencegen.tasks.design`).

    A sample that is not finite, or farther from the prior's centre than any state of it, diverged and is rejected.

    Arguments:
        problem, objective, weight, sampler, constraints: as of the task.
        more: times as many are drawn as are asked for.
    """

    problem: Problem
    objective: Callable[..., Tensor]
    weight: float | Callable[[Tensor], Tensor]
    sampler: Sampler
    constraints: Sequence[Constraint] = ()
    more: float = 1.5
    improves: bool = field(default=False, init=False)

    def __call__(self, designs: Ensemble) -> Ensemble:
        seeds = spares(designs.seeds, int(self.more * designs.count))
        made = design(self.problem, self.objective, self.weight, self.sampler, len(seeds),
                      constraints=self.constraints, seeds=seeds, progress=designs.progress, device=designs.device)
        lost = self._lost(made.samples) & (made.status == 0)  # of an interrupted run all are still far away
        reason = np.where(lost, DIVERGED, "").astype(object)
        samples = made.samples.assign(fun=("sample", made.fun), seed=("sample", made.seeds), reason=("sample", reason))
        return replace(_continued(designs, made), samples=samples, drawn=made.config)

    def _lost(self, samples: xarray.Dataset) -> np.ndarray:
        x = self.problem.layout.pack(**{k: torch.as_tensor(v.values) for k, v in samples.data_vars.items()})
        return ~(x.abs().amax(-1) <= ABSURD).numpy()


@dataclass(frozen=True)
class Refine:
    """Designs down an energy, each at its own temperature; ``fun`` becomes the energy that they come down to.

    Where the problem is: what refines knows a solver, which is on the host.

    Arguments:
        problem, objective, sampler, constraints: as of the task; the problem's parts are read off the designs.
        temperatures: inverse, ``count -> (count,)``.
    """

    problem: Problem
    objective: Callable[..., Tensor]
    temperatures: Callable[[int], Tensor]
    sampler: Sampler
    constraints: Sequence[Constraint] = ()
    improves: bool = field(default=True, init=False)

    def __call__(self, designs: Ensemble) -> Ensemble:
        layout, weight = self.problem.layout, self.temperatures(len(designs))[:, None]
        start = layout.pack(**{k: torch.as_tensor(designs.samples[k].values) for k in layout.variables})
        order = torch.arange(len(designs))
        made = design(self.problem, self.objective, lambda sigma: weight, self.sampler, len(designs),
                      judge=lambda **parts: order, constraints=self.constraints, seeds=designs.seeds,
                      start=start.float(), progress=designs.progress)
        terms = [v.values[-1] for k, v in made.history.data_vars.items() if k != "acceptance"]
        reached = made.samples.assign(fun=("sample", sum(terms))) if terms else made.samples
        return _continued(designs, made).updated(reached)


@dataclass(frozen=True)
class Decode:
    """What a function reads off the designs that are not rejected: outlines, angles, quantities that are expected.

    Arguments:
        function: see the module; not called if all designs are rejected.
        instead: what it returns takes the place of all that a design had; for functions of every design.
    """

    function: Function
    instead: bool = False
    improves: bool = field(default=False, init=False)

    def __call__(self, designs: Ensemble) -> Ensemble:
        if self.instead:
            kept = designs.samples[["fun", "reason", "seed"]]
            return replace(designs, samples=kept).updated(self.function(designs.samples))
        return _applied(self.function, designs)


@dataclass(frozen=True)
class Adjust:
    """Designs moved by a function: through a solver's gradients, through what a network expects."""

    function: Function
    improves: bool = field(default=True, init=False)

    def __call__(self, designs: Ensemble) -> Ensemble:
        return _applied(self.function, designs)


@dataclass(frozen=True)
class Keep:
    """The best ``more`` times as many as are asked for; the others are dropped."""

    more: float = 1.0
    improves: bool = field(default=False, init=False)

    def __call__(self, designs: Ensemble) -> Ensemble:
        return designs.isel(designs.best(math.ceil(self.more * designs.count)))


@dataclass(frozen=True)
class Solve:
    """A solver's word on the designs: ``judge`` returns ``fun``, not finite where it fails, and maybe ``reason``.

    :class:`AllRejected` where none is left to judge.
    """

    judge: Function
    improves: bool = field(default=False, init=False)

    def __call__(self, designs: Ensemble) -> Ensemble:
        if not designs.good.any():
            why = Counter(designs.samples["reason"].values).most_common(3)
            told = "; ".join(f"{n}: {reason}" for reason, n in why)
            raise AllRejected(f"got {len(designs)} designs and none that can be solved ({told}); expected at least one"
                              ": ask for more, or for less of each")
        solved = _applied(self.judge, designs)
        fun, reason = (solved.samples[k].values.copy() for k in ("fun", "reason"))
        fun[~designs.good] = np.nan  # what they had before is no solver's word
        reason[(reason == "") & ~np.isfinite(fun)] = UNSOLVED
        return solved.updated(xarray.Dataset({"fun": ("sample", fun), "reason": ("sample", reason)}))


@dataclass(frozen=True)
class Polish:
    """The ``best`` designs through further ``stages``; each is replaced where that made it better."""

    best: int
    stages: Sequence[Stage]
    improves: bool = field(default=True, init=False)

    def __call__(self, designs: Ensemble) -> Ensemble:
        rows = designs.best(self.best)
        again = designs.isel(rows[designs.good[rows]])
        if not len(again):
            return designs
        for stage in self.stages:
            again = stage(again)
        both = xarray.concat([designs.samples, again.samples], "sample", join="override")
        order = np.lexsort([both["fun"].values, both["reason"].values != ""])
        first = np.sort(np.unique(both["seed"].values[order], return_index=True)[1])
        chosen = both.isel(sample=order[first])
        row = {int(seed): i for i, seed in enumerate(designs.samples["seed"].values)}
        history = designs.history.isel(sample=[row[int(s)] for s in chosen["seed"].values], missing_dims="ignore")
        return replace(designs, samples=chosen, history=history, spent=again.spent)


def _applied(function: Function, designs: Ensemble) -> Ensemble:
    """``designs`` with what ``function`` makes of those that are not rejected."""
    rows = np.nonzero(designs.good)[0]
    return designs.updated(function(designs.samples.isel(sample=rows)), rows) if len(rows) else designs


def _continued(designs: Ensemble, made: Result) -> Ensemble:
    """``designs`` with the history and the price of a task, and how far it came."""
    spent: Mapping[str, float] = {"network_calls": made.nfev}
    history = xarray.concat([designs.history, made.history], "step") if designs.history.sizes else made.history
    return replace(designs.paid(spent), history=history, interrupted=made.message if made.status else "")
