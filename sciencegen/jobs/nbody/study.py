r"""Starts from which all bodies end at the centre of the box: compose and sample, refine by the solver, judge.

1. *Compose.* The prior of two bodies over a window is summed to all bodies over all frames (:mod:`.compose`); the
   objective, and what a start must keep to, act at Tweedie's mean. No rollout of the solver is spent. With a ``law``
   the solver's map from each frame to the next joins in: the work of a rollout a score, though of all frames at once.
2. *Turn round.* A sample's end is played backwards (:mod:`.backwards`), a few times with other headings, and the best
   start is taken, by the solver: one of these or the sample's own.
3. *Refine.* It descends through the solver, positions and headings alone: each body has the root-mean-square speed of
   the data, so that no design can win by being slow.
4. *Judge.* Each start is solved once more, and the best come first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from ...descent import QuasiNewton
from ...energy import Energy, Potential, Residual
from ...layout import Layout, Variable
from ...mcmc import HMC
from ...noise import Noise, spares
from ...physics.nbody import NBody
from ...sample import Ancestral, Sampler, karras
from ...tasks import Constraint, Problem, Result, design
from .backwards import backwards, headed, parted
from .compose import compose, enlarge

__all__ = ["SPEED", "Study", "annealed", "few_steps", "to_centre"]

SPEED = 0.4075  # root mean square of the published law, box lengths a second (81.5 px/s)
CLEAR = 1e-3  # a start's gaps, between discs and to the walls, are aimed at by so much more than touching
SETTLED = 60  # evaluations by which an end goes down the objective
STEEP = 4.0  # a fault of a refined start, in box lengths, costs so many times as much as the objective gains


def to_centre(trajectory: Tensor) -> Tensor:
    """Mean distance of the bodies of the last frame from the centre, ``(*B, T, n, 4) -> (*B,)``."""
    return (trajectory[..., -1, :, :2] - 0.5).norm(dim=-1).mean(-1)


def annealed(sigma: Tensor) -> Tensor:
    """An inverse temperature: the excess that is tolerated is what ``sigma`` leaves open, and 0.003 at the end."""
    return 1 / (0.003 + 0.05 * sigma)


def few_steps(levels: int = 16, repeats: int = 2, step: float = 0.5, low: float = 5e-3, high: float = 10.0,
              device: str = "cpu") -> Sampler:
    """Stochastic steps with ``repeats`` Langevin corrections at each level: ``levels (1 + repeats)`` scores.

    Under composition the flow without them converges to a wrong answer, however many steps it takes. A sum of many
    terms is stiffer than one: ``step`` 1 is better for two bodies, and sends four to infinity.
    """
    walk = HMC(lambda sigma: step * sigma / (1 + sigma**2).sqrt(), adjusted=False, repeats=repeats)
    return Ancestral(karras(levels, low, high).to(device), walk if repeats else None)


@dataclass(frozen=True)
class Study:
    """One question, "from where do ``bodies`` fly to the centre in ``frames``?", and everything to answer it with.

    Arguments:
        layout, energy: the trained prior of two bodies (:mod:`sciencegen.jobs.nbody.prior`).
        bodies, frames: of the designs; frames are as :func:`sciencegen.jobs.nbody.compose.enlarge` allows.
        objective: ``trajectory (*B, frames, bodies, 4) -> (*B,)``, low is good.
        weight: of the objective, an inverse temperature: a number, or a function of sigma.
        sampler: noise grid, step and corrector of the first step.
        law: standard deviation of the solver's one-frame residual; None leaves the law out.
        composed: makes the prior of many, as :func:`sciencegen.jobs.nbody.compose.compose` does.
        speed: of every body at the start, box lengths a second.
        system: the solver.
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
    system: NBody = NBody()

    def __post_init__(self) -> None:
        enlarge(self.layout, self.frames, self.bodies)

    def generate(self, count: int, seeds: Tensor | None = None, progress: bool = True) -> Result:
        """Step 1: trajectories as the network has them; best first by the solver's word on their starts."""
        layout, prior = self.composed(self.layout, self.energy, self.frames, self.bodies)
        law = None if self.law is None else Residual(lambda x: self.system.residual(**layout.unpack(x)), self.law)
        return design(Problem(layout, prior, law), self.objective, self.weight, self.sampler, count,
                      lambda trajectory: self.objective(self.solve(trajectory[:, 0])), self._constraints(), seeds,
                      progress=progress)

    def mend(self, flights: Tensor, seeds: Tensor, rollouts: int) -> Tensor:
        """Steps 2 and 3: starts ``(N, n, 4)`` for ``flights (N, T, n, 4)``, by so many rollouts each."""
        tries, judged = (3 * rollouts // 8, rollouts // 8) if rollouts >= 16 else (0, 0)
        start = self.turn(flights.nan_to_num(0.5), seeds, tries, judged) if tries else flights[:, 0]
        return self.refine(start, rollouts - tries - judged)

    @torch.no_grad()
    def turn(self, flights: Tensor, seeds: Tensor, tries: int, judged: int) -> Tensor:
        """Step 2: starts ``(N, n, 4)`` for ``flights (N, T, n, 4)``, their own or their ends played backwards.

        Before, an end goes down the objective, discs apart, which takes no rollout. ``tries`` rollouts each go
        backwards and ``judged`` forwards, one of them for the own start.
        """
        shake = Noise(seeds).normal(tries * self.bodies).unflatten(-1, (tries, self.bodies))
        end = self._down(self._legal(flights[:, -1]), SETTLED, lambda state: state[..., None, :, :])
        best = backwards(end[..., :2], shake, self.frames, self.speed, self.system)[:, : judged - 1]
        start = self._legal(torch.cat([flights[:, :1], best], 1))
        cost = self.objective(self.solve(start)) + STEEP * self.faults(start).clamp_min(0).sum(-1)
        return start[torch.arange(len(start)), cost.argmin(1)]

    def refine(self, start: Tensor, rollouts: int) -> Tensor:
        """Step 3: ``start (N, n, 4)`` down through the solver, by so many rollouts with their gradients each."""
        return self._down(start, rollouts, self.solve)

    def _down(self, state: Tensor, times: int, flown: Callable[[Tensor], Tensor]) -> Tensor:
        """``state (N, n, 4)`` down the objective of where it is ``flown`` to, kept apart and inside."""
        free = Layout(position=Variable((self.bodies, 2), 0.5, 0.23), heading=(self.bodies,))
        begin = lambda x: headed(**free.unpack(x), speed=self.speed)

        def cost(x: Tensor) -> Tensor:
            faults = (self.faults(state := begin(x)) + CLEAR).clamp_min(0).sum(-1)
            return self.objective(flown(state)) + STEEP * faults

        place = state[..., :2].nan_to_num(0.5).clamp(self.system.margin, 1 - self.system.margin)
        x = free.pack(position=place, heading=torch.atan2(state[..., 3], state[..., 2]).nan_to_num(0.0))
        return begin(QuasiNewton(times)(Potential(cost), x, 0.0)[0])

    def _legal(self, state: Tensor) -> Tensor:
        """The nearest that discs are apart, each at the speed asked for."""
        return headed(parted(state[..., :2], self.system), torch.atan2(state[..., 3], state[..., 2]), self.speed)

    def run(self, count: int = 50, seeds: Tensor | None = None, rollouts: int = 40, progress: bool = True) -> Result:
        """All four steps: ``count`` designs, feasible ones first, then by objective.

        Half as many again are sampled and refined, and the worst of them dropped. ``samples`` has the ``trajectory``
        and beside it the one that the network ``imagined`` for the same sample. With ``rollouts``, of which from 16 on
        half go into turning round, the trajectory is the solver's, from the refined start; without, it is the
        network's, and only ``fun`` is the solver's. Interrupted from the keyboard, what is there is judged as it is
        and marked as partial.
        """
        more = count + count // 2
        made = self.generate(more, None if seeds is None else spares(seeds, more), progress)
        imagined = made.samples["trajectory"]
        flights, solved = torch.tensor(imagined.values).double(), imagined
        start = flights[:, 0]
        if rollouts and not made.status:
            start = self.mend(flights, torch.as_tensor(made.seeds), rollouts)
            solved = imagined.copy(data=self.solve(start).numpy())
        fun, good = self.objective(self.solve(start)).numpy(), self.feasible(start).numpy()
        spent = (2 + rollouts) * (count + count // 2) / count  # before, on the way down, and at the end
        made = replace(made, samples=made.samples.assign(trajectory=solved, imagined=imagined), fun=fun, success=good,
                       config=made.config | self.config() | {"rollouts": rollouts, "rollouts_a_design": spent})
        return made.isel(np.lexsort([fun, ~good])[:count])

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

    def config(self) -> dict[str, object]:
        """What was asked, for a result's record."""
        return {"bodies": self.bodies, "frames": self.frames, "speed": self.speed, "law": self.law,
                "objective": self.objective.__name__, "composed": self.composed.__name__, "system": repr(self.system)}

    def _constraints(self) -> list[Constraint]:
        return [Constraint(lambda trajectory: self.faults(trajectory[:, 0]) + CLEAR, tolerance=CLEAR, gain=0.1),
                Constraint(lambda trajectory: self.off_speed(trajectory[:, 0]).abs(), tolerance=0.002, gain=0.1)]
