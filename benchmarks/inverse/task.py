r"""The questions: who is measured where and how well, and what is wanted.

Grid 32, and 64 for the flow. A published question has 500 points on a grid of 128; what counts for smooth fields is how
many points there are to a field, not to a pixel, so that 300 of the 1,024 cells are asked here: fewer than the
published 500, and an upper bound of what a coarser grid can use; the flow has the published 500. Points are drawn
without replacement, anew for every `PER_SET` cases. The noise is a share of the measured field's rms over all cases.
Where it is zero the data are exact, and every row, the exact one too, is told 1e-4: what single precision resolves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sciencegen.measure import Measurement, Points
from sciencegen.physics import Darcy, Heat, NavierStokes, System, resolve
from sciencegen.physics.fields import white
from sciencegen.studies.pde.pairs import pairs

GRID, FINE, PER_SET = 32, 64, 20
TEST, TUNE = 1, 2  # seeds of the scored cases (those of datasets/pde_NAME_32.h5) and of those that rows are tuned on
RESOLVED = 1e-4


@dataclass(frozen=True)
class Task:
    """``seen``: how many points of which part; all of the later state for heat. ``wanted``: the part that is scored.

    ``words`` say what is asked. ``count`` cases, ``quick`` where time is short: none of Helmholtz, which is as Poisson.
    """

    name: str
    setup: str
    system: System
    seen: Mapping[str, int]
    wanted: str
    words: str
    levels: tuple[float, ...] = (0.0, 1e-3, 1e-2)
    count: int = 40
    quick: int = 4

    @property
    def linear(self) -> bool:
        """Whether prior and equation are linear and Gaussian, so that Bayes' answer is known."""
        return not isinstance(self.system, (Darcy, NavierStokes))

    @property
    def binary(self) -> bool:
        """Whether the wanted part has two values, and is scored by the share of wrong pixels."""
        return isinstance(self.system, Darcy) and self.wanted == "a"

    @property
    def grid(self) -> int:
        """Cells along a side."""
        return self.system.parts["u"].shape[-1]


@dataclass(frozen=True)
class Question:
    """Cases that share their sensors.

    Arguments:
        truth: ``{part: (C, n, n)}`` in float64.
        where: flat cells of each seen part.
        data: ``(C, m)``, the seen parts in the order of ``where``.
        noise: ``(m,)`` standard deviations that every row is told.
        first: number of the first case.
    """

    task: Task
    level: float
    truth: Mapping[str, Tensor] = field(repr=False)
    where: Mapping[str, Tensor]
    data: Tensor = field(repr=False)
    noise: Tensor = field(repr=False)
    first: int

    @property
    def measure(self) -> Measurement:
        """``(**parts) -> (*B, m)``."""
        points = [Points(name, torch.stack(torch.unravel_index(cells, 2 * (self.task.grid,)), -1))
                  for name, cells in self.where.items()]
        joined = points[0]
        for more in points[1:]:
            joined = joined & more
        return joined

    def each(self) -> Iterator[tuple[Tensor, int]]:
        """Data ``(m,)`` and number of each case."""
        return ((row, self.first + i) for i, row in enumerate(self.data))


def tasks() -> dict[str, Task]:
    """All tasks by name."""
    poisson, helmholtz, darcy, heat = (resolve(name, GRID) for name in ("poisson", "helmholtz", "darcy", "heat"))
    flow = resolve("navier-stokes", FINE)
    rock = {"levels": (1e-2,), "quick": 2}
    made = [
        Task("poisson-forward", "poisson", poisson, {"a": 300}, "u",
             "Poisson: solution from 300 sensors of the source"),
        Task("poisson-inverse", "poisson", poisson, {"u": 300}, "a",
             "Poisson: source from 300 sensors of the solution"),
        Task("helmholtz-forward", "helmholtz", helmholtz, {"a": 300}, "u",
             "Helmholtz: solution from 300 sensors of the source", quick=0),
        Task("helmholtz-inverse", "helmholtz", helmholtz, {"u": 300}, "a",
             "Helmholtz: source from 300 sensors", quick=0),
        Task("heat", "heat", heat, {"u": GRID**2}, "a", "heat: start from the end", levels=(0.0,)),
        Task("darcy-inverse", "darcy", darcy, {"u": 60}, "a", "Darcy: rock from 60 pressures", **rock),
        Task("darcy-both", "darcy", darcy, {"a": 60, "u": 60}, "a", "Darcy: rock from 60 sensors of each", **rock),
        Task("navier-stokes", "navier-stokes", flow, {"u": 500}, "a",
             "Navier-Stokes at 64: start from the end", levels=(1e-2,), quick=1),
    ]
    return {task.name: task for task in made}


def questions(task: Task, level: float, count: int, seed: int = TEST) -> list[Question]:
    """``count`` cases of a task at a noise level, in groups that share their sensors."""
    truth = cases(task, count, seed)
    if isinstance(task.system, Heat):
        spread = task.system.transition()[1].sqrt().flatten()
        data = task.system.basis.expand(truth["u"]).flatten(1)
        return [Question(task, level, truth, {"u": torch.arange(GRID**2)}, data, spread, 0)]
    size = {name: truth[name].square().mean().sqrt() for name in task.seen}
    return [_group(task, level, {k: v[first:first + PER_SET] for k, v in truth.items()}, size, first, seed)
            for first in range(0, count, PER_SET)]


def cases(task: Task, count: int, seed: int) -> dict[str, Tensor]:
    """Truths ``a, u (count, n, n)`` in float64; heat's later state with its kicks."""
    if isinstance(task.system, Heat):
        a = task.system.starts().sample(count, seed)
        noise = white(GRID, count, seed, stream=1)[:, None]
        return {"a": a, "u": task.system.kicked(a, noise)[:, 0]}
    made = pairs(task.system, count, seed)
    return {"a": made["a"], "u": made["u"].reshape(made["a"].shape)}  # of a flow the one frame


def _group(task: Task, level: float, truth: Mapping[str, Tensor], size: Mapping[str, Tensor], first: int,
           seed: int) -> Question:
    places = np.random.default_rng((seed, first, 17))
    where = {name: torch.from_numpy(places.choice(task.grid**2, number, replace=False))
             for name, number in task.seen.items()}
    clean = torch.cat([truth[name].flatten(1)[:, cells] for name, cells in where.items()], -1)
    unit = torch.cat([size[name].expand(number) for name, number in task.seen.items()])
    kicks = np.stack([np.random.default_rng((seed, first + i, 23)).standard_normal(clean.shape[1])
                      for i in range(len(clean))])
    noise = level * unit * torch.from_numpy(kicks)
    return Question(task, level, truth, where, clean + noise, max(level, RESOLVED) * unit, first)
