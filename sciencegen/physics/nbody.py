r"""Discs in a box: equal discs that fly freely and bounce without loss off one another and off four walls.

Its truth is a rigid-body engine (Chipmunk), whose steps of length :math:`h` are the physics here, not the ideal of
events between them:

1. :math:`x \leftarrow x + h (v + w)`, with :math:`w` the pushes left over from the step before;
2. every overlap of the new positions becomes a contact of normal :math:`n`; it asks for the separating speed
   :math:`-e \, u` where :math:`u = n \cdot (v_i - v_j)` is the speed before impact (elastic, :math:`e = 1`), and for a
   push that takes a tenth of the overlap (less a slop) out in the next step;
3. both are met by sequential impulses: 10 sweeps over the contacts, each impulse accumulated and never attractive,
   started from those of the step before.

Walls along x and y commute and so do disjoint pairs: a sweep takes all the walls at once, then the pairs in the rounds
of a tournament. The engine's own order is that of its search tree. Where no body has two contacts at a time the order
does not matter and the first sweep is exact; in a pile the sweeps have not converged, and answers differ by the order
(Gauss-Seidel). All in box units: lengths over the side of the box (200 px), speeds in sides per second. Unlike the
engine's, these walls have no outer side: a centre beyond one is pushed back in.

References:
    Iterative Dynamics with Temporal Coherence (Catto, 2005), https://box2d.org/files/ErinCatto_IterativeDynamics_GDC2005.pdf;
    Pymunk and Munk2D 7.3, https://www.pymunk.org, the referee; Compositional Generative Inverse Design (Wu et al.,
    2024), https://arxiv.org/abs/2401.13171, whose system it is, for the box, the discs and the law of the starts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .contacts import overdue, rounds
from .fields import generator

__all__ = ["NBody"]

FASTEST = 0.5  # a velocity component of the published law
REMEMBERED = 3  # steps for which the engine keeps a contact's impulse after the bodies parted


class _Motion(NamedTuple):
    """What the engine knows between two steps; impulses and ages of pairs (B, rounds, n), of walls (B, n, 2)."""

    position: Tensor
    velocity: Tensor
    push: Tensor
    pairs: Tensor
    walls: Tensor
    pairs_age: Tensor  # steps since they touched
    walls_age: Tensor


@dataclass(frozen=True)
class NBody:
    """A state is ``(*B, n, 4)``, features x, y, vx, vy; a trajectory ``(*B, frames, n, 4)``, frame 0 its start.

    Arguments:
        radius: of a disc.
        wall: half the thickness of a wall; centres live ``radius + wall`` inside the box.
        step: seconds of a step of the engine.
        steps: steps in a frame.
        slop: overlap that is not pushed out.
        bias: share of the rest that is pushed out in a step.
        sweeps: over the contacts in a step.
        size: natural size of a feature, by which residuals are divided; the rms velocity of the published law.
    """

    radius: float = 0.1
    wall: float = 0.005
    step: float = 1 / 60
    steps: int = 4
    slop: float = 0.0005
    bias: float = 0.1
    sweeps: int = 10
    size: float = 0.29

    @property
    def margin(self) -> float:
        """The least distance of a centre from the sides of the box, where the disc touches the wall."""
        return self.radius + self.wall

    def finer(self, times: int = 4) -> NBody:
        """The same discs in an engine of so many times as many steps."""
        return replace(self, step=self.step / times, steps=self.steps * times)

    def starts(self, bodies: int, count: int, seed: int = 0, first: int = 0, separate: bool = False) -> Tensor:
        """States ``(count, bodies, 4)`` in float64; sample ``first + i`` of a seed is the same whatever the count.

        The published law: centres on whole pixels 20 ... 180 of 200, so that discs may overlap, velocity components
        uniform in +-0.5. ``separate`` draws centres anywhere between the walls, given that no discs overlap.
        """
        drawn = [self._start(bodies, generator(seed, first + i), separate) for i in range(count)]
        return torch.from_numpy(np.stack(drawn)) if drawn else torch.empty(0, bodies, 4, dtype=torch.float64)

    def _start(self, bodies: int, random: np.random.Generator, separate: bool) -> np.ndarray:
        velocity = random.uniform(-FASTEST, FASTEST, (bodies, 2))
        if not separate:
            return np.concatenate([random.integers(20, 181, (bodies, 2)) / 200, velocity], 1)
        pairs = np.triu_indices(bodies, 1)
        for _ in range(100):
            centres = random.uniform(self.margin, 1 - self.margin, (256, bodies, 2))
            gaps = np.linalg.norm(centres[:, pairs[0]] - centres[:, pairs[1]], axis=-1).min(-1, initial=math.inf)
            if (apart := np.flatnonzero(gaps >= 2 * self.radius)).size:
                return np.concatenate([centres[apart[0]], velocity], 1)
        raise ValueError(f"got {bodies} discs of radius {self.radius:g}; expected so many as have room in the box "
                         "without overlap: ask for fewer, or for separate=False")

    def solve(self, start: Tensor, frames: int) -> Tensor:
        """The trajectory ``(*B, frames, n, 4)`` from ``start (*B, n, 4)``, with gradients through contacts.

        Rows are independent. Gradients, here and of :meth:`residual`, are slopes through the jumps that noticing
        contacts step by step makes (:mod:`.contacts`), not those between jumps. ValueError for no state's shape.
        """
        flat = _checked("start", start, 2).reshape(-1, *start.shape[-2:])
        motion, path = self._begin(flat), [flat]
        for _ in range(frames - 1):
            motion = self._frame(motion)
            path.append(torch.cat([motion.position, motion.velocity], -1))
        return torch.stack(path, 1).reshape(*start.shape[:-2], frames, *start.shape[-2:])

    def residual(self, trajectory: Tensor) -> Tensor:
        """``(*B, (T - 1) n 4)``: what each frame differs by from the map of the one before it, over ``size``.

        The norm of a row is the rms over frames, bodies and features: rounding for a solution, about 1 for unrelated
        frames. The map begins anew at every frame, so that chaos does not enter. Later frames than the first are taken
        in motion, with the push that their overlaps left; impulses from before are not known: a lasting pile shows it.
        """
        before = _checked("trajectory", trajectory, 3)[..., :-1, :, :]
        motion = self._begin(before.reshape(-1, *before.shape[-2:]))
        moving = (torch.arange(before.shape[-3], device=before.device) > 0).repeat(before.shape[:-3].numel())
        pushed = self._touch(motion).push * moving[:, None, None]
        after = self._frame(motion._replace(push=pushed))
        gap = torch.cat([after.position, after.velocity], -1).reshape(before.shape) - trajectory[..., 1:, :, :]
        return gap.flatten(-3) / (self.size * math.sqrt(gap.shape[-3:].numel()))

    def energy(self, state: Tensor) -> Tensor:
        """Kinetic energy ``(*B,)`` of all bodies of ``state (*B, n, 4)``, unit mass."""
        return state[..., 2:].square().sum((-2, -1)) / 2

    def momentum(self, state: Tensor) -> Tensor:
        """``(*B, 2)`` of all bodies of ``state (*B, n, 4)``; only walls change it."""
        return state[..., 2:].sum(-2)

    def overlap(self, state: Tensor) -> Tensor:
        """How deep the discs of ``state (*B, n, 4)`` are in one another, ``(*B, n (n - 1) / 2)``; < 0: apart."""
        i, j = torch.triu_indices(state.shape[-2], state.shape[-2], 1, device=state.device)
        return 2 * self.radius - _length(state[..., i, :2] - state[..., j, :2])

    def outside(self, state: Tensor) -> Tensor:
        """How deep each disc is in a wall, ``(*B, 2 n)``, along x and y in turn; < 0: inside the box."""
        return ((state[..., :2] - 0.5).abs() - (0.5 - self.margin)).flatten(-2)

    def _begin(self, state: Tensor) -> _Motion:
        """At rest as to pushes and impulses."""
        position, velocity = state[..., :2], state[..., 2:]
        pairs = torch.zeros_like(velocity[:, None, :, 0]).repeat(1, len(rounds(state.shape[-2])), 1)
        return _Motion(position, velocity, torch.zeros_like(velocity), pairs, torch.zeros_like(velocity),
                       torch.full_like(pairs, REMEMBERED), torch.full_like(velocity, REMEMBERED))

    def _frame(self, motion: _Motion) -> _Motion:
        for _ in range(self.steps):
            moved = motion.position + self.step * (motion.velocity + motion.push)
            motion = self._touch(motion._replace(position=moved, push=torch.zeros_like(motion.push)))
        return motion

    def _touch(self, motion: _Motion) -> _Motion:
        """Velocities and pushes after the contacts at the present positions."""
        if not motion.position.requires_grad:
            return self._answer(motion)
        lag = overdue(motion.position, motion.velocity, self.radius, self.margin)[..., None]
        answer = self._answer(motion._replace(position=motion.position - motion.velocity.detach() * lag))
        return answer._replace(position=answer.position + answer.velocity.detach() * lag)

    def _answer(self, motion: _Motion) -> _Motion:
        """Of all contacts, as the engine has it; rows without one are left out."""
        partner = torch.tensor(rounds(motion.position.shape[-2]), device=motion.position.device)
        squared = (motion.position[:, None] - motion.position[:, partner]).square().sum(-1)
        alone = partner == torch.arange(motion.position.shape[-2], device=partner.device)
        pairs = (squared < (2 * self.radius) ** 2) & ~alone
        walls = (motion.position - 0.5).abs() > 0.5 - self.margin
        busy = (pairs.sum(1) + walls.sum(-1)).amax(-1)  # contacts of the body that has most
        for rows, sweeps in (((busy == 1).nonzero()[:, 0], 1), ((busy > 1).nonzero()[:, 0], self.sweeps)):
            if len(rows):
                some = _Motion(*(part[rows] for part in motion))
                answers = self._bounce(some, partner, pairs[rows], walls[rows], sweeps)
                named = zip(("velocity", "push", "pairs", "walls"), answers)
                motion = motion._replace(**{k: getattr(motion, k).index_copy(0, rows, new) for k, new in named})
        return motion._replace(pairs_age=torch.where(pairs, 0.0, motion.pairs_age + 1),
                               walls_age=torch.where(walls, 0.0, motion.walls_age + 1))

    def _bounce(self, motion: _Motion, partner: Tensor, pairs: Tensor, walls: Tensor, sweeps: int
                ) -> tuple[Tensor, ...]:
        """Velocity, push, impulses of pairs and of walls after the sweeps; contacts ``pairs``, ``walls`` are known."""
        normal, depth = self._pairs(motion.position, partner, pairs)
        side = torch.where(motion.position < 0.5, 1.0, -1.0).to(motion.position)
        sunk = (motion.position - 0.5).abs() - (0.5 - self.margin)
        toward = ((motion.velocity[:, None] - motion.velocity[:, partner]) * normal).sum(-1)
        aims = torch.stack([-toward, self._push(depth)])
        wall_aims = torch.stack([-side * motion.velocity, self._push(sunk)])
        held = [torch.where(age < REMEMBERED, impulse, 0.0) for age, impulse in
                ((motion.pairs_age, motion.pairs), (motion.walls_age, motion.walls))]
        warm = (torch.where(pairs & (motion.pairs_age == 0), held[0], 0.0)[..., None] * normal).sum(1)
        warm = warm + torch.where(walls & (motion.walls_age == 0), held[1], 0.0) * side
        speeds = torch.stack([motion.velocity + warm, motion.push])  # both are swept alike, and at once
        impulses, wall_impulses = (torch.stack([impulse, torch.zeros_like(impulse)]) for impulse in held)
        met = list(impulses.unbind(2))
        for _ in range(sweeps):
            added = _added(wall_impulses, wall_aims - side * speeds, walls)
            wall_impulses, speeds = wall_impulses + added, speeds + added * side
            for k, other in enumerate(partner):
                across = ((speeds - speeds[:, :, other]) * normal[:, k]).sum(-1)
                added = _added(met[k], (aims[:, :, k] - across) / 2, pairs[:, k])
                met[k], speeds = met[k] + added, speeds + added[..., None] * normal[:, k]
        kept = torch.where(pairs, torch.stack([impulse[0] for impulse in met], 1), motion.pairs)
        return speeds[0], speeds[1], kept, torch.where(walls, wall_impulses[0], motion.walls)

    def _pairs(self, position: Tensor, partner: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors ``(B, rounds, n, 2)`` from each one's partner to it, and depths, of the contacts ``pairs``."""
        between = position[:, None] - position[:, partner]
        squared = between.square().sum(-1)
        apart = pairs & (squared > 0)
        distance = torch.where(apart, squared, 1.0).sqrt()
        order = (torch.arange(position.shape[-2], device=partner.device) - partner).sign().to(position)
        same = torch.stack([order, torch.zeros_like(order)], -1)  # where two centres are the same point
        normal = torch.where(apart[..., None], between, same) / distance[..., None]
        return normal, 2 * self.radius - distance * apart

    def _push(self, depth: Tensor) -> Tensor:
        return self.bias / self.step * (depth - self.slop).clamp_min(0)


def _added(impulse: Tensor, wanted: Tensor, contact: Tensor) -> Tensor:
    """What ``impulse`` grows by when ``wanted`` is added and it may not pull."""
    return torch.where(contact, (impulse + wanted).clamp_min(0) - impulse, 0.0)


def _length(vector: Tensor) -> Tensor:
    """Of ``(..., 2)``, with the gradient zero at zero."""
    squared = vector.square().sum(-1)
    return torch.where(squared > 0, squared, 1.0).sqrt() * (squared > 0)


def _checked(name: str, value: Tensor, axes: int) -> Tensor:
    if value.ndim < axes or value.shape[-1] != 4:
        raise ValueError(f"got '{name}' of shape {tuple(value.shape)}; expected (..., {'frames, ' * (axes == 3)}"
                         "bodies, 4): x, y, vx, vy in box lengths and box lengths per second")
    return value
