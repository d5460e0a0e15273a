"""Two-valued rock as the sign of a Gaussian level, as ``sciencegen invert darcy`` has it: learned, or its law told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sciencegen.exact import Gaussian
from sciencegen.physics import Darcy
from sciencegen.priors import zoo
from sciencegen.studies.pde.annealed import Annealed
from sciencegen.studies.pde.level_set import Level, drawn

from .row import Answer
from .task import Question, Task

AXES = 384  # as many as the learned law has


def learned(task: Task) -> Gaussian:
    """The law of the shipped prior, learned from training rocks."""
    return zoo(task.setup).energy.gaussian().double()


def told(task: Task) -> Gaussian:
    """The law that the rocks were drawn by, of unit variance in each cell."""
    factor = task.system.fields().factor()
    unit = factor / factor.square().sum(-1, keepdim=True).sqrt()
    variances, axes = torch.linalg.eigh(unit @ unit.mT)
    kept = torch.cat([variances[-AXES:], variances.new_tensor([1e-10])])
    return Gaussian(torch.zeros(len(unit), dtype=kept.dtype), kept, axes[:, -AXES:].contiguous())


@dataclass(frozen=True)
class Hidden:
    """Annealed populations with the solver in the loop; ``samples`` of the first one's members are given back."""

    name: str
    law: Callable[[Task], Gaussian] = field(repr=False)
    walk: Annealed = Annealed()
    samples: int = 19

    def suits(self, task: Task) -> bool:
        """Two-valued rock."""
        return isinstance(task.system, Darcy)

    def __call__(self, question: Question) -> Answer:
        law, found, solves = self.law(question.task), [], 0.0
        for data, case in question.each():
            level = Level(question.task.system, law, question.measure, data, question.noise)
            z, ((*_, last),) = drawn(level, self.samples, self._seeds(case), self.walk)
            found.append(level.parts(z))
            solves += (last.solves + self.samples) / len(question.data)
        return Answer({name: torch.stack([parts[name] for parts in found]) for name in found[0]}, solves=solves)

    def _seeds(self, case: int) -> Tensor:
        return torch.arange(self.walk.members) + case * self.walk.members
