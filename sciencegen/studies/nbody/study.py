r"""Starts from which all bodies end at the centre of the box: compose and sample, refine by the solver, judge.

1. *Compose.* The prior of two bodies over a window is summed to all bodies over all frames (:mod:`.compose`); the
   objective, and what a start must keep to, act at Tweedie's mean. No rollout of the solver is spent. With a ``law``
   the solver's map from each frame to the next joins in: the work of a rollout a score, though of all frames at once.
2. *Turn round.* A sample's end is played backwards (:mod:`sciencegen.physics.reversal`), a few times with other
   headings, and the best start is taken, by the solver: one of these or the sample's own. Half as many again are
   sampled and refined as are asked for, and the worst of them dropped.
3. *Refine.* It descends through the solver, positions and headings alone: each body has the root-mean-square speed of
   the data, so that no design can win by being slow. Discs must be apart in the last frame too, since an engine lets
   them sink into one another and an objective could be won by that. Half of the work then goes down the mean of this
   engine's answer and that of one with a four times finer step: what hangs on the step is no design.
4. *Solve.* Each start is solved once more by both engines, and the best come first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import xarray
from torch import Tensor

from ...descent import QuasiNewton
from ...energy import Energy, Potential, Residual
from ...layout import Layout, Variable
from ...physics.nbody import NBody
from ...physics.reversal import backwards, headed, parted
from ...random import Streams
from ...result import Result
from ...sample import Sampler
from ...tasks import Constraint, Problem
from ..stages import Adjust, Compose, Decode, Solve, Stage
from ..study import PICTURE, Study
from .compose import compose, enlarge, few_steps, room
from .picture import CAPTION, LABELS, draw

__all__ = ["SPEED", "NBodyStudy", "annealed", "to_centre"]

SPEED = 0.4075  # root mean square of the published law, box lengths a second (81.5 px/s)
CLEAR = 1e-3  # a start's gaps, between discs and to the walls, are aimed at by so much more than touching
SETTLED = 60  # evaluations by which an end goes down the objective
STEEP = 4.0  # a fault of a refined start or end, in box lengths, costs so many times as much as the objective gains
FINER = 4  # times as many steps has the engine that checks


def to_centre(trajectory: Tensor) -> Tensor:
    """Mean distance of the bodies of the last frame from the centre, ``(*B, T, n, 4) -> (*B,)``."""
    return (trajectory[..., -1, :, :2] - 0.5).norm(dim=-1).mean(-1)


def annealed(sigma: Tensor) -> Tensor:
    """An inverse temperature: the excess that is tolerated is what ``sigma`` leaves open, and 0.003 at the end."""
    return 1 / (0.003 + 0.05 * sigma)


@dataclass(frozen=True)
class NBodyStudy(Study):
    """One question, "from where do ``bodies`` fly to the centre in ``frames``?", and everything to answer it with.

    A result has the solver's ``trajectory`` from each start, and beside it the one that the network ``imagined``.

    Arguments:
        layout, energy: the trained prior of two bodies (:mod:`.prior`).
        bodies, frames: of the designs; frames are as :func:`.compose.enlarge` allows.
        objective: ``trajectory (*B, frames, bodies, 4) -> (*B,)``, low is good.
        weight: of the objective, an inverse temperature: a number, or a function of sigma.
        sampler: noise grid, step and corrector of the first step.
        law: standard deviation of the solver's one-frame residual; None leaves the law out.
        composed: makes the prior of many, as :func:`.compose.compose` does.
        speed: of every body at the start, box lengths a second.
        rollouts: of the solver, by which each start is mended: half of them by both engines (one by the finer counts
            as four), and from 32 on a quarter of them in turning round.
        system: the solver.

    Raises:
        ValueError: for bodies that find no room in the box, and frames that windows do not fill.
    """

    layout: Layout
    energy: Energy
    bodies: int = 2
    frames: int = 24
    objective: Callable[[Tensor], Tensor] = to_centre
    weight: float | Callable[[Tensor], Tensor] = annealed
    sampler: Sampler = field(default_factory=few_steps)
    law: float | None = None
    composed: Callable[[Layout, Energy, int, int], tuple[Layout, Energy]] = compose
    speed: float = SPEED
    rollouts: int = 80
    system: NBody = NBody()

    def __post_init__(self) -> None:
        most = room(self.system)
        if self.bodies > most:
            raise ValueError(f"got {self.bodies} bodies of radius {self.system.radius:g}; expected at most {most}: no "
                             "more find room in the box")
        enlarge(self.layout, self.frames, self.bodies)

    @property
    def referee(self) -> NBody:
        """The same discs in an engine with a finer step."""
        return self.system.finer(FINER)

    @property
    def stages(self) -> Sequence[Stage]:
        mended = [Adjust(self._mended)] if self.rollouts else []
        return [self._compose(), Decode(_starts), *mended, Solve(self._solved)]

    def _compose(self) -> Compose:
        """Trajectories as the network has them."""
        layout, prior = self.composed(self.layout, self.energy, self.frames, self.bodies)
        law = None if self.law is None else Residual(lambda x: self.system.residual(**layout.unpack(x)), self.law)
        kept = [Constraint(lambda trajectory: self.faults(trajectory[:, 0]) + CLEAR, tolerance=CLEAR, gain=0.1,
                           name="apart and inside"),
                Constraint(lambda trajectory: self.off_speed(trajectory[:, 0]).abs(), tolerance=0.002, gain=0.1,
                           name="speed at the start")]
        return Compose(Problem(layout, prior, law), self.objective, self.weight, self.sampler, kept)

    def _mended(self, samples: xarray.Dataset) -> xarray.Dataset:
        flights, seeds = (torch.tensor(samples[k].values) for k in ("imagined", "seed"))
        start = self.mend(flights.double(), seeds, self.rollouts)
        return _named(start=start).assign_attrs(spent={"rollouts": self.rollouts * len(start)})

    def _solved(self, samples: xarray.Dataset) -> xarray.Dataset:
        start = torch.tensor(samples["start"].values)
        flown, again = self.solve(start), self.referee.solve(start, self.frames)
        faults = {"discs in one another or a wall, or not as fast as asked": ~self.feasible(start),
                  "discs in one another at the end": self._sunk(flown[:, -1]) | self._sunk(again[:, -1])}
        reason = np.full(len(start), "", object)
        for words, bad in reversed(faults.items()):
            reason[bad.numpy()] = words
        found = {"trajectory": samples["trajectory"].copy(data=flown.numpy()),
                 "fun": ("sample", self.objective(flown).numpy()),
                 "finer": ("sample", self.objective(again).numpy()), "reason": ("sample", reason)}
        return xarray.Dataset(found, attrs={"spent": {"rollouts": (1 + FINER) * len(start)}})

    def mend(self, flights: Tensor, seeds: Tensor, rollouts: int) -> Tensor:
        """Steps 2 and 3: starts ``(N, n, 4)`` for ``flights (N, T, n, 4)``, by so many rollouts each."""
        both = rollouts // (2 + 2 * FINER)
        alone = rollouts - (1 + FINER) * both
        tries, judged = (3 * alone // 8, alone // 8) if alone >= 16 else (0, 0)
        start = self.turn(flights.nan_to_num(0.5), seeds, tries, judged) if tries else flights[:, 0]
        return self.settle(self.refine(start, alone - tries - judged), both)

    @torch.no_grad()
    def turn(self, flights: Tensor, seeds: Tensor, tries: int, judged: int) -> Tensor:
        """Step 2: starts ``(N, n, 4)`` for ``flights (N, T, n, 4)``, their own or their ends played backwards.

        Before, an end goes down the objective, discs apart, which takes no rollout. ``tries`` rollouts each go
        backwards and ``judged`` forwards, one of them for the own start.
        """
        shake = Streams(seeds).normal(tries * self.bodies).unflatten(-1, (tries, self.bodies))
        end = self._down(self._legal(flights[:, -1]), SETTLED, lambda state: self._cost(state[..., None, :, :]))
        best = backwards(end[..., :2], shake, self.frames, self.speed, self.system)[:, : judged - 1]
        start = self._legal(torch.cat([flights[:, :1], best], 1))
        cost = self._cost(self.solve(start)) + STEEP * self.faults(start).clamp_min(0).sum(-1)
        return start[torch.arange(len(start)), cost.argmin(1)]

    def refine(self, start: Tensor, rollouts: int) -> Tensor:
        """Step 3: ``start (N, n, 4)`` down through the solver, by so many rollouts with their gradients each."""
        return self._down(start, rollouts, lambda state: self._cost(self.solve(state)))

    def settle(self, start: Tensor, times: int) -> Tensor:
        """The end of step 3: ``start (N, n, 4)`` down the mean of both engines' answers, so many times."""
        both = lambda state: (self._cost(self.solve(state)) + self._cost(self.referee.solve(state, self.frames))) / 2
        return self._down(start, times, both)

    def _cost(self, flown: Tensor) -> Tensor:
        """The objective of ``flown (*B, T, n, 4)``, and what discs that end in one another add to it."""
        sunk = (self.system.overlap(flown[..., -1, :, :]) + CLEAR).clamp_min(0).sum(-1)
        return self.objective(flown) + STEEP * sunk

    def _down(self, state: Tensor, times: int, cost: Callable[[Tensor], Tensor]) -> Tensor:
        """``state (N, n, 4)`` down its ``cost``, kept apart and inside."""
        if not times:
            return state
        free = Layout(position=Variable((self.bodies, 2), 0.5, 0.23), heading=(self.bodies,))
        begin = lambda x: headed(**free.unpack(x), speed=self.speed)

        def total(x: Tensor) -> Tensor:
            faults = (self.faults(state := begin(x)) + CLEAR).clamp_min(0).sum(-1)
            return cost(state) + STEEP * faults

        place = state[..., :2].nan_to_num(0.5).clamp(self.system.margin, 1 - self.system.margin)
        x = free.pack(position=place, heading=torch.atan2(state[..., 3], state[..., 2]).nan_to_num(0.0))
        return begin(QuasiNewton(times)(Potential(total), x, 0.0)[0])

    def _legal(self, state: Tensor) -> Tensor:
        """The nearest that discs are apart, each at the speed asked for."""
        return headed(parted(state[..., :2], self.system), torch.atan2(state[..., 3], state[..., 2]), self.speed)

    def solve(self, start: Tensor) -> Tensor:
        """The solver's trajectory ``(*B, frames, n, 4)`` from ``start (*B, n, 4)``."""
        return self.system.solve(start, self.frames)

    def faults(self, start: Tensor) -> Tensor:
        """How deep discs of ``start (*B, n, 4)`` are in one another and in the walls, ``(*B, m)``; < 0: not."""
        return torch.cat([self.system.overlap(start), self.system.outside(start)], -1)

    def off_speed(self, start: Tensor) -> Tensor:
        """By how much the speeds of ``start (*B, n, 4)`` differ from the one that is asked for, ``(*B, n)``."""
        return start[..., 2:].norm(dim=-1) - self.speed

    def feasible(self, start: Tensor) -> Tensor:
        """Whether ``start (*B, n, 4)`` may be one, ``(*B,)``: apart, inside, and as fast as asked, to a hundredth."""
        return (self.faults(start) < 0.01 * self.system.radius).all(-1) & (
            self.off_speed(start).abs() < 0.01 * self.speed).all(-1)

    def _sunk(self, state: Tensor) -> Tensor:
        """Whether discs of ``state (*B, n, 4)`` are in one another, by more than a hundredth of their radius."""
        return (self.system.overlap(state) > 0.01 * self.system.radius).any(-1)

    @property
    def labels(self) -> Mapping[str, tuple[str, str]]:
        return LABELS

    def row(self, sample: xarray.Dataset) -> dict[str, str]:
        flight, imagined = sample["trajectory"].values, sample["imagined"].values
        return {"objective": f"{float(sample['fun']):.4f}",
                "finer step": f"{float(sample['finer']):.4f}",
                "imagined": f"{float(to_centre(torch.tensor(imagined))):.4f}",
                "rms speed": f"{np.sqrt((flight[0, :, 2:] ** 2).sum(-1).mean()):.3f}"}

    def draw(self, result: Result) -> tuple[Any, Any]:
        return draw(result.samples, self.system)

    def judged(self, result: Result) -> Sequence[str]:
        return ["The package's own engine judged the designs, twice: at its step and at a finer one; no other program."]

    def captions(self, result: Result) -> Mapping[str, str]:
        return {PICTURE: CAPTION}

    def seconds(self, count: int) -> float:
        pairs, windows = self.bodies * (self.bodies - 1) / 2, 1 + (self.frames - 24) / 10
        scores = 3 * len(self.sampler.sigmas)
        return 5 + 1.5 * count * (0.005 * pairs * windows * scores + 7e-5 * self.rollouts * self.bodies * self.frames)


def _starts(samples: xarray.Dataset) -> xarray.Dataset:
    """The first frame of each flight; the flight itself is what the network ``imagined``."""
    start = torch.tensor(samples["trajectory"].values[:, 0]).double()
    return _named(start=start).assign(imagined=samples["trajectory"])


def _named(start: Tensor) -> xarray.Dataset:
    return xarray.Dataset({"start": (("sample", "body", "feature"), start.numpy())})
