"""What a row is asked: data to learn from, questions to answer, and what an answer is."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray
from torch import Tensor

__all__ = ["Drawn", "Question", "Row", "Task"]

Solver = Callable[[Tensor, int], Tensor]  # starts (*B, *space) and frames to the frames (*B, frames, *space)


@dataclass(frozen=True)
class Question:
    """A forecast that is asked for.

    Arguments:
        name: of the question, in the table.
        history: frames that are known, the last one last, ``(starts, members or 1, h, *space)``.
        truth: ``(starts, horizon, *space)``.
        leads: frames ahead that are scored.
        members: of an ensemble; 1 asks for a roll-out, which is scored by how long it is right and whether it lasts.
        expected: what exact knowledge scores here: by name a number for each lead.
        top: highest wave number of which the members' power is scored.
        judge: further scores of a roll-out ``(starts, horizon, *space)``.
    """

    name: str
    history: Tensor
    truth: Tensor
    leads: tuple[int, ...]
    members: int
    expected: Mapping[str, Tensor] = field(default_factory=dict)
    top: int = 10
    judge: Callable[[Tensor], Mapping[str, float]] | None = None

    @property
    def horizon(self) -> int:
        """Frames ahead."""
        return self.truth.shape[1]


@dataclass(frozen=True)
class Task:
    """Data and questions.

    Arguments:
        name: short, as in the issue tracker's tables.
        title: of the table.
        train: trajectories ``(samples, frames, *space)``, in physical units.
        frame: time from frame to frame.
        questions: what is asked.
        seconds: CPU seconds in which a network may be trained.
        width, patch: of the rows' networks: features, and points of a patch.
        window: frames of a state of ours.
        known: fields that do not change and are known, as a force, by name, ``(*space)``.
        solvers: rows that know the equation, by name; the last one is what a forecast can be at best.
        zoo: the shipped prior of it, if there is one.
        published: rows of those who published the task.
    """

    name: str
    title: str
    train: Tensor
    frame: float
    questions: tuple[Question, ...]
    seconds: float
    width: int = 48
    patch: int = 1
    window: int = 8
    known: Mapping[str, Tensor] = field(default_factory=dict)
    solvers: Mapping[str, Solver] = field(default_factory=dict)
    zoo: str = ""
    published: tuple[Row, ...] = ()

    @property
    def space(self) -> tuple[int, ...]:
        """Points along each axis of space."""
        return tuple(self.train.shape[2:])

    def dataset(self, samples: slice = slice(None)) -> xarray.Dataset:
        """Trajectories as a user has them, ``u (sample, time, x[, y])``, and what is known ``(sample, x[, y])``."""
        dims = ("x", "y")[: len(self.space)]
        coords = {"time": self.frame * np.arange(self.train.shape[1]), **{d: np.arange(n, dtype=float) for d, n
                                                                        in zip(dims, self.space)}}
        values = self.train[samples].float().numpy()
        known = {name: (("sample", *dims), v.expand(len(values), *self.space).float().numpy())
                 for name, v in self.known.items()}
        return xarray.Dataset({"u": (("sample", "time", *dims), values), **known}, coords)


class Drawn(NamedTuple):
    """An answer.

    Arguments:
        frames: ``(members, starts, horizon, *space)``; of fewer starts than were asked for, the first ones.
        calls: of a network for a member's frame; 0 without one.
        seconds: of CPU for all of it.
    """

    frames: Tensor
    calls: float
    seconds: float


class Row(abc.ABC):
    """A way to forecast.

    Attributes:
        name: in the table.
        starts, horizon: at most so many starts and frames ahead are answered, where more would take too long.
    """

    name: str
    starts: int = 10**6
    horizon: int = 10**6

    @abc.abstractmethod
    def ready(self, task: Task, seed: int, out: Path) -> Mapping[str, float]:
        """Learn what is to be learned, and say what it took: ``training`` CPU seconds, ``parameters``."""

    def answers(self, question: Question) -> bool:
        """Whether it has an answer: a roll-out is answered to its end or not at all."""
        return question.members > 1 or question.horizon <= self.horizon

    @abc.abstractmethod
    def draw(self, task: Task, question: Question, seed: int) -> Drawn:
        """Answer a question."""
