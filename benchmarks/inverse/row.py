"""What a row of the table is, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from .task import Question, Task


@dataclass(frozen=True)
class Answer:
    """Reconstructions of the cases of one question.

    Arguments:
        samples: ``{part: (C, S, n, n)}``; ``S = 1`` for an estimate without spread.
        mean: ``{part: (C, n, n)}`` where it is known better than from the samples.
        calls: of the network, forward, a sample; ``backward`` those through it.
        solves: of the equation, a case.
    """

    samples: Mapping[str, Tensor]
    mean: Mapping[str, Tensor] = field(default_factory=dict)
    calls: float = 0.0
    backward: float = 0.0
    solves: float = 0.0


class Row(Protocol):
    """A way to answer. ``samples`` is how many it gives a case."""

    name: str
    samples: int

    def suits(self, task: Task) -> bool:
        """Whether it can answer this task."""

    def __call__(self, question: Question) -> Answer:
        """Reconstruct every case of a question, from its data, sensors and noise alone."""


def joined(answers: list[Answer], sizes: list[int]) -> Answer:
    """The answers to several questions as one; counts are means over the cases."""
    share = torch.tensor(sizes, dtype=torch.float64) / sum(sizes)
    means = {name: float(sum(w * getattr(a, name) for w, a in zip(share, answers)))
             for name in ("calls", "backward", "solves")}
    return Answer({k: torch.cat([a.samples[k] for a in answers]) for k in answers[0].samples},
                  {k: torch.cat([a.mean[k] for a in answers]) for k in answers[0].mean}, **means)
