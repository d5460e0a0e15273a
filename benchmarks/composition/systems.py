r"""Systems whose every window has a closed-form law: what composition is judged by when no network is to blame.

Bodies on springs, ``q'' = -K q``, shaken a little and damped as much: ``s_{t+1} = r exp(M dt) s_t + noise`` with ``r``
such that ``N(0, P)``, ``P = diag(K^{-1}, 1)`` in units of the state, is stationary. A trajectory is a Markov chain, so
that windows minus overlaps is its joint law, exactly, at ``sigma = 0``; re-simulation is the chain without its noise.
Units are the n-body benchmark's: a box of length 1 with its centre at (0.5, 0.5), a frame of 1/15 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from sciencegen.calls import Plan, together
from sciencegen.energy import Energy, Evaluation
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout, Variable

from .original import UNIT, Averaged

__all__ = ["STRIDE", "WINDOW", "Composed", "Laws", "Springs", "System", "chained", "layout"]

WINDOW, STRIDE, DT = 24, 10, 1 / 15


class System(Protocol):
    """What judges designs."""

    bodies: int

    def resimulate(self, designs: Tensor) -> Tensor:
        """``(B, T, n, 4)`` in box units to the true motion from their first frames, the same shape."""


@dataclass(frozen=True)
class Springs:
    """Bodies, each on a spring to the centre and to every other one.

    Arguments:
        noise: standard deviation of what a frame adds, in box units, averaged over features.
        coupling: stiffness between two bodies, in units of the one to the centre.
        bodies: how many.
        stiffness: of the spring to the centre, 1/s^2.
    """

    noise: float = 1e-3
    coupling: float = 2.0
    bodies: int = 2
    stiffness: float = 1.2

    @cached_property
    def law(self) -> tuple[Tensor, Tensor]:
        """Matrix of a frame's mean motion and the stationary covariance, ``(n, 4)`` features flat, units of state."""
        n = self.bodies
        among = n * torch.eye(n, dtype=torch.float64) - 1
        springs = self.stiffness * (torch.eye(n, dtype=torch.float64) + self.coupling * among)
        springs = torch.kron(springs, torch.eye(2, dtype=torch.float64))
        zero, one = torch.zeros_like(springs), torch.eye(2 * n, dtype=torch.float64)
        flow = torch.linalg.matrix_exp(DT * torch.cat([torch.cat([zero, one], 1), torch.cat([-springs, zero], 1)]))
        spread = torch.block_diag(torch.linalg.inv(springs), one)
        order = torch.arange(4 * n).reshape(2, n, 2).transpose(0, 1).flatten()
        flow, spread = flow[order][:, order], spread[order][:, order]
        left = 1 - (self.noise / UNIT) ** 2 / float(spread.diagonal().mean())
        return left**0.5 * flow, spread

    def joint(self, frames: int) -> Gaussian:
        """The law of ``frames`` frames."""
        step, spread = self.law
        below = [spread]
        for _ in range(frames - 1):
            below.append(step @ below[-1])
        rows = [torch.cat([below[i - j] if i >= j else below[j - i].mT for j in range(frames)], 1)
                for i in range(frames)]
        return Gaussian(torch.zeros(frames * len(step), dtype=torch.float64), torch.cat(rows))

    def resimulate(self, designs: Tensor) -> Tensor:
        """Without noise."""
        step, centre = self.law[0].to(designs), designs.new_tensor([0.5, 0.5, 0, 0])
        states = [(designs[:, 0] - centre).flatten(1)]
        for _ in range(designs.shape[1] - 1):
            states.append(states[-1] @ step.mT)
        return torch.stack(states, 1).reshape(designs.shape) + centre


@dataclass(frozen=True)
class Laws:
    """One of several systems, which one is not said: a law that is no Gaussian.

    Its windows minus overlaps are its joint law only as far as an overlap tells which system it is of.
    """

    systems: Sequence[Springs]

    @property
    def bodies(self) -> int:
        """How many."""
        return self.systems[0].bodies

    def joint(self, frames: int) -> Energy:
        """The law of ``frames`` frames."""
        return Mixed([system.joint(frames) for system in self.systems])

    def resimulate(self, designs: Tensor) -> Tensor:
        """By the system whose own motion is nearest to each design."""
        moved = torch.stack([system.resimulate(designs) for system in self.systems])
        nearest = (moved - designs).abs().flatten(2).mean(-1).argmin(0)
        return moved[nearest, torch.arange(len(designs))]


class Mixed(Energy):
    """Energies in equal shares: ``-log mean_k exp(-E_k)`` up to a constant."""

    def __init__(self, energies: Sequence[Energy]) -> None:
        super().__init__()
        self.energies = torch.nn.ModuleList(energies)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.evaluate(x, sigma).value

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        return together([e.plan(x, sigma) for e in self.energies]).then(_mixed)


def _mixed(found: Sequence[Evaluation]) -> Evaluation:
    values, scores = torch.stack([e.value for e in found]), torch.stack([e.score for e in found])
    score = (torch.softmax(-values, 0)[..., None] * scores).sum(0)
    return Evaluation(-torch.logsumexp(-values, 0), score)


@dataclass(frozen=True)
class Composed:
    """One prior over a longer trajectory (or more bodies), counted in the original's way and in ours."""

    layout: Layout
    averaged: Energy
    ours: Energy


def layout(frames: int, bodies: int) -> Layout:
    """Trajectories in box units: one variable ``(frames, bodies, 4)``, features x, y, vx, vy."""
    centre = torch.tensor([0.5, 0.5, 0.0, 0.0], dtype=torch.float64)
    return Layout(trajectory=Variable((frames, bodies, 4), centre, UNIT, dims=("time", "body", "feature")))


def chained(system: Springs | Laws, frames: int) -> Composed:
    """Exact windows of 24 frames, in float32; ours are windows minus overlaps."""
    made = layout(frames, system.bodies)
    body, overlap = made["trajectory"], WINDOW - STRIDE
    windows, between = body.windows(WINDOW, STRIDE), body[STRIDE:-STRIDE].windows(overlap, STRIDE)
    window = system.joint(WINDOW)
    ours = window.on(windows) - system.joint(overlap).on(between)
    return Composed(made, Averaged(window, windows).float(), ours.float())
