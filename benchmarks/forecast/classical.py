r"""Rows without a network: climatology, persistence, linear regression by wave number, and solvers.

The linear row is the best linear forecast that is the same at every place: for each wave vector a complex number and
the variance of what it leaves, :math:`\hat u_{t+1} = a_k \hat u_t + \sqrt{q_k} \xi`, by least squares (dynamic mode
decomposition: "Dynamic mode decomposition of numerical and experimental data" (Schmid, 2010),
https://doi.org/10.1017/S0022112010001217, with its residual's covariance).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from .task import Drawn, Question, Row, Solver, Task

__all__ = ["Climatology", "Linear", "Persistence", "Solved"]

KICKS = 2**30  # the first seed of a solver's kicks, which no truth has


class Climatology(Row):
    """Frames of other trajectories, at random places."""

    name = "climatology"

    def ready(self, task: Task, seed: int, out: Path) -> Mapping[str, float]:
        return {"training": 0.0, "parameters": 0}

    def draw(self, task: Task, question: Question, seed: int) -> Drawn:
        since, random = time.process_time(), torch.Generator().manual_seed(seed)
        starts, horizon = question.truth.shape[:2]
        pick = torch.randint(task.train.shape[0], (question.members, starts), generator=random)
        if horizon > task.train.shape[1]:
            frames = torch.randint(task.train.shape[1], (question.members, starts, horizon), generator=random)
            return Drawn(task.train[pick[..., None], frames], 0, time.process_time() - since)
        first = int(torch.randint(task.train.shape[1] - horizon + 1, (), generator=random))
        shift = int(torch.randint(task.space[0], (), generator=random))
        found = task.train[:, first: first + horizon].roll(shift, 2)[pick]
        return Drawn(found, 0, time.process_time() - since)


class Persistence(Row):
    """The last frame that is known, for ever; members differ as far as what is known does."""

    name = "persistence"

    def ready(self, task: Task, seed: int, out: Path) -> Mapping[str, float]:
        return {"training": 0.0, "parameters": 0}

    def draw(self, task: Task, question: Question, seed: int) -> Drawn:
        since = time.process_time()
        last = started(question)
        return Drawn(last[:, :, None].expand(-1, -1, question.horizon, *task.space), 0, time.process_time() - since)


class Linear(Row):
    """Linear regression by wave number, with the variance of what it leaves."""

    name = "linear by wave number"

    def ready(self, task: Task, seed: int, out: Path) -> Mapping[str, float]:
        since = time.process_time()
        factor, _, _ = self._fitted(task)
        return {"training": time.process_time() - since, "parameters": 3 * factor.numel()}

    def draw(self, task: Task, question: Question, seed: int) -> Drawn:
        factor, left, mean = self._fitted(task)
        since, random = time.process_time(), torch.Generator().manual_seed(seed)
        over, now, frames = tuple(range(-len(task.space), 0)), started(question).double() - mean, []
        for _ in range(question.horizon):
            noise = torch.randn(now.shape, generator=random, dtype=now.dtype)
            modes = factor * torch.fft.rfftn(now, dim=over) + left.sqrt() * torch.fft.rfftn(noise, dim=over)
            now = torch.fft.irfftn(modes, task.space, dim=over)
            frames.append(now + mean)
        return Drawn(torch.stack(frames, 2), 0, time.process_time() - since)

    def _fitted(self, task: Task) -> tuple[Tensor, Tensor, Tensor]:
        """Factor and residual variance by wave vector, and the mean, over everything or by place beside a force."""
        over, data = tuple(range(-len(task.space), 0)), task.train.double()
        mean = data.mean((0, 1)) if task.known else data.mean()
        modes = torch.fft.rfftn(data - mean, dim=over)
        before, after = (m.flatten(0, 1) for m in (modes[:, :-1], modes[:, 1:]))
        factor = (before.conj() * after).sum(0) / before.abs().square().sum(0).clamp_min(1e-300)
        left = (after - factor * before).abs().square().mean(0) / data[0, 0].numel()
        return factor, left, mean


class Solved(Row):
    """The equation's own solver, each member from its own start; with kicks of its own where it has them."""

    def __init__(self, name: str, solver: Solver) -> None:
        self.name, self.solver = name, solver

    def ready(self, task: Task, seed: int, out: Path) -> Mapping[str, float]:
        return {"training": 0.0, "parameters": 0}

    def draw(self, task: Task, question: Question, seed: int) -> Drawn:
        since = time.process_time()
        torch.manual_seed(seed + KICKS)
        frames = self.solver(started(question).double(), question.horizon)
        return Drawn(frames, 0, time.process_time() - since)


def started(question: Question) -> Tensor:
    """The last known frame of every member, ``(members, starts, *space)``."""
    last = question.history[:, :, -1]
    return last.expand(last.shape[0], question.members, *last.shape[2:]).transpose(0, 1)
