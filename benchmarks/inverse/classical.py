r"""Rows without a network: interpolate and solve, and the ensemble Kalman inversion of a library.

A spline knows neither the equation's source law nor the noise's size but for its smoothing. The ensemble Kalman
smoother with multiple data assimilation is given the true law of the parameters, as the exact row is: "Ensemble
smoother with multiple data assimilation" (Emerick & Reynolds, 2013), https://doi.org/10.1016/j.cageo.2012.03.011, in
the library iterative-ensemble-smoother, https://github.com/equinor/iterative_ensemble_smoother.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from iterative_ensemble_smoother import ESMDA
from scipy.interpolate import NearestNDInterpolator, RBFInterpolator
from torch import Tensor

from sciencegen.physics import Darcy, Heat
from sciencegen.physics.fields import binary
from sciencegen.physics.grids import centres

from .row import Answer
from .task import GRID, Question, Task


def _places(cells: Tensor) -> np.ndarray:
    axis = centres(GRID).numpy()
    return np.stack([axis[cells.numpy() // GRID], axis[cells.numpy() % GRID]], -1)


EVERYWHERE = _places(torch.arange(GRID**2))


@dataclass(frozen=True)
class Spline:
    """Thin-plate spline of the source, then the solver; or a quintic of the solution, then the discrete operator.

    ``smoothing`` per squared share of noise, tuned on other cases; the walls are sensors of a zero solution.
    """

    smoothing: float = 0.03
    samples: int = 1
    name: str = "spline + equation, no prior"

    def suits(self, task: Task) -> bool:
        """One-sided elliptic questions."""
        return task.linear and not isinstance(task.system, Heat)

    def __call__(self, question: Question) -> Answer:
        ((name, cells),) = question.where.items()
        system, data = question.task.system, question.data.numpy().T
        if name == "a":
            a = _field(RBFInterpolator(_places(cells), data, smoothing=self.smoothing * question.level**2)(EVERYWHERE))
            return _answer(a, system.solve(a), solves=1)
        edge = (np.arange(GRID) + 0.5) / GRID
        walls = np.concatenate([np.stack([edge, 0 * edge + w], -1)[:, ::flip] for w in (0.0, 1.0) for flip in (1, -1)])
        places = np.concatenate([_places(cells), walls])
        values = np.concatenate([data, np.zeros((len(walls), data.shape[1]))])
        spline = RBFInterpolator(places, values, kernel="quintic", smoothing=self.smoothing * question.level**2)
        u = _field(spline(EVERYWHERE))
        return _answer(system.apply(u), u, solves=0)


@dataclass(frozen=True)
class Nearest:
    """Darcy with rock seen: each cell as its nearest sensor of the rock, then the solver."""

    samples: int = 1
    name: str = "nearest sensor + solver"

    def suits(self, task: Task) -> bool:
        """Darcy with sensors of ``a``."""
        return isinstance(task.system, Darcy) and "a" in task.seen

    def __call__(self, question: Question) -> Answer:
        cells = question.where["a"]
        data = question.data[:, :len(cells)].numpy().T  # `a` comes first
        a = _field(NearestNDInterpolator(_places(cells), data)(EVERYWHERE)).clamp_min(0.1)
        return _answer(a, question.task.system.solve(a), solves=1)


@dataclass(frozen=True)
class EnsembleKalman:
    """``members`` of the true law, moved in ``rounds`` by the covariance of parameters and predictions.

    Darcy's rock is the sign of a Gaussian field (a level set), whose law is given; a source is its own parameter.
    """

    members: int = 400
    rounds: int = 6
    kept: int = 19
    name: str = "ensemble Kalman (ES-MDA)"
    where: Callable[[Task], bool] | None = field(default=None, repr=False)

    @property
    def samples(self) -> int:
        """How many of the members are kept for the spread; the mean is that of all."""
        return self.kept

    def suits(self, task: Task) -> bool:
        """All but heat, or what was said."""
        return not isinstance(task.system, Heat) if self.where is None else self.where(task)

    def __call__(self, question: Question) -> Answer:
        found = [self._solve(question, data, case) for data, case in question.each()]
        samples = {k: torch.stack([one[k][: self.kept] for one in found]) for k in ("a", "u")}
        mean = {k: torch.stack([_middle(question.task, k, one[k]) for one in found]) for k in ("a", "u")}
        return Answer(samples, mean, solves=self.members * (self.rounds + 1))

    def _solve(self, question: Question, data: Tensor, case: int) -> dict[str, Tensor]:
        system, rock = question.task.system, isinstance(question.task.system, Darcy)
        law = system.fields() if rock else system.sources()
        fields = law.sample(self.members, seed=1000, first=case * self.members).flatten(1).numpy().T.copy()
        smoother = ESMDA(question.noise.square().numpy(), data.numpy(), alpha=self.rounds, seed=case)

        def pair(fields: np.ndarray) -> dict[str, Tensor]:
            field = _field(fields)[:, 0]
            a = binary(field) if rock else field
            return {"a": a, "u": system.solve(a)}

        for _ in range(self.rounds):
            seen = question.measure(**pair(fields)).numpy().T
            smoother.prepare_assimilation(Y=np.ascontiguousarray(seen), truncation=1.0)
            fields = smoother.assimilate_batch(X=fields)
        return pair(fields)


def _middle(task: Task, name: str, samples: Tensor) -> Tensor:
    """The mean ``(n, n)``; of two-valued rock that of the logarithm."""
    return samples.log().mean(0).exp() if task.binary and name == "a" else samples.mean(0)


def _field(columns: np.ndarray) -> Tensor:
    """``(n^2, C) -> (C, 1, n, n)``."""
    return torch.from_numpy(np.ascontiguousarray(columns.T)).double().unflatten(-1, (GRID, GRID))[:, None]


def _answer(a: Tensor, u: Tensor, solves: float) -> Answer:
    return Answer({"a": a, "u": u}, solves=solves)
