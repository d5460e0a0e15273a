"""F4: Kolmogorov flow kicked by noise, 32 x 32: forecasts beside the perfect model's ensemble of the same start."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from sciencegen.physics.grids import centres
from sciencegen.physics.kolmogorov import Kolmogorov

from .task import Question, Task

__all__ = ["stochastic"]

CELLS, HELD = 32, 2**20
LEADS = (1, 3, 5)  # about a quarter, a half and one decorrelation time
MEMBERS = 19


def stochastic(quick: bool, seconds: float = 600.0) -> Task:
    """128 trajectories of 40 frames; forecasts of five frames from an exact start. The force is known to all rows."""
    system, starts = Kolmogorov(CELLS), 4 if quick else 64
    held = kicked(system, system.draw(starts, HELD)["a"], LEADS[-1], 0)
    first = system.draw(8 if quick else 128, 0)["a"]
    train = kicked(system, first, 10 if quick else 39, 1)
    question = Question("forecast", held[:, None, :1], held[:, 1:], LEADS, MEMBERS, top=8)
    perfect = lambda start, frames: kicked(system, start, frames, None)[..., 1:, :, :]
    wave = torch.cos(2 * math.pi * system.waves * centres(CELLS, train)).expand(CELLS, -1)
    return Task("F4", "stochastic Kolmogorov flow, 32 x 32", train, system.frame, (question,), seconds, 48, 2, 2,
                {"force": wave}, {"perfect model": perfect})


def kicked(system: Kolmogorov, start: Tensor, frames: int, seed: int | None) -> Tensor:
    """A start and the frames after it, ``(*B, frames + 1, n, n)``; without a seed by torch's own generator."""
    random = None if seed is None else torch.Generator().manual_seed(seed)
    noise = torch.randn(*start.shape[:-2], frames, CELLS, CELLS, generator=random, dtype=start.dtype)
    after = replace(system, frames=frames).kicked(start, noise)
    return torch.cat([start[..., None, :, :], after], -3)
