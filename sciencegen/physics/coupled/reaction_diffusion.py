r"""A reaction-diffusion pair over time: the FitzHugh-Nagumo equations on a periodic interval, one field a component.

.. math:: u_t = \mu_u u_{xx} + u - u^3 - v + \alpha, \qquad v_t = \mu_v v_{xx} + \beta (u - v)

A component is told the other field's whole trajectory at the frames, and takes it to be linear in time between them;
that is all that ties the two, of second order in the time between frames. Within a frame diffusion is by the
trapezoidal rule and the reaction by Heun's, both of second order. Since time runs one way, a round is nearly nilpotent:
Picard's iteration converges, the faster the shorter the time.

Elsewhere the other field is a fresh Gaussian one at each frame, as M2PDE draws it (``pace = 0``). That covers the
values of a coupled trajectory but not its continuity in time; with ``pace > 0`` it is correlated over that time.

References:
    M2PDE: Compositional Generative Multiphysics and Multi-component PDE Simulation (Zhang et al., 2025),
    https://arxiv.org/abs/2412.04134, for the pair and its decoupled data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..system import Part
from .elsewhere import Elsewhere
from .system import GIVEN, Component, Coupled

__all__ = ["ReactionDiffusion"]

Reaction = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class ReactionDiffusion(Coupled):
    """Fields ``u, v (*B, frames, n)`` at times ``frame, 2 frame, ...``; given: their starts ``a, b (*B, n)``.

    Arguments:
        n: points round the interval of length 1.
        frames: how many follow the start.
        frame: time between frames.
        substeps: of a frame.
        diffusion: of u and of v.
        supply: alpha.
        rate: beta.
        length: correlation length in space of starts and of what is drawn elsewhere.
        pace: correlation time of what is drawn elsewhere.
    """

    n: int = 20
    frames: int = 10
    frame: float = 0.2
    substeps: int = 8
    diffusion: tuple[float, float] = (0.01, 0.05)
    supply: float = 0.01
    rate: float = 2.0
    length: float = 0.15
    pace: float = 0.0

    @property
    def fields(self) -> Mapping[str, Part]:
        """The two, at the frames."""
        times = [self.frame * (i + 1) for i in range(self.frames)]
        part = Part((self.frames, self.n), ("time", "x"), {"time": times, **self._space()}, periodic=("x",))
        return {"u": part, "v": part}

    @property
    def given(self) -> Mapping[str, Part]:
        """The starts, ``a`` of u and ``b`` of v."""
        part = Part((self.n,), ("x",), self._space(), periodic=("x",))
        return {"a": part, "b": part}

    def _space(self) -> dict[str, list[float]]:
        return {"x": [i / self.n for i in range(self.n)]}

    @property
    def elsewhere(self) -> Mapping[str, Elsewhere]:
        """Gaussian fields between -1.5 and 1.5 of u, and -1 and 1 of v."""
        lengths = (self.pace, self.length)
        return {"u": Elsewhere(-1.5, 1.5, lengths), "v": Elsewhere(-1.0, 1.0, lengths)}

    def draw(self, count: int, seed: int = 0, first: int = 0) -> dict[str, Tensor]:
        """Starts, Gaussian between -1 and 1."""
        law = Elsewhere(-1.0, 1.0, (self.length,))
        return {k: law.sample(part, count, seed, first, GIVEN + i) for i, (k, part) in enumerate(self.given.items())}

    def component(self, name: str) -> Component:
        """:meth:`activator` of ``u`` and :meth:`inhibitor` of ``v``."""
        return {"u": self.activator, "v": self.inhibitor}[name]

    def activator(self, v: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """``u (*B, frames, n)`` from its start ``a``, where v goes from ``b`` through the frames ``v``."""
        return self._march(a, torch.cat([b[..., None, :], v], -2), self.diffusion[0], self.react_u)

    def inhibitor(self, u: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """``v (*B, frames, n)`` from its start ``b``, where u goes from ``a`` through the frames ``u``."""
        return self._march(b, torch.cat([a[..., None, :], u], -2), self.diffusion[1], self.react_v)

    def react_u(self, u: Tensor, v: Tensor) -> Tensor:
        """What u gains by reaction."""
        return u - u**3 - v + self.supply

    def react_v(self, v: Tensor, u: Tensor) -> Tensor:
        """What v gains by reaction."""
        return self.rate * (u - v)

    def _march(self, start: Tensor, other: Tensor, diffusion: float, react: Reaction) -> Tensor:
        """The frames ``(*B, frames, n)`` of a field, with those of the other ``(*B, frames + 1, n)``."""
        step, found, now = self.frame / self.substeps, [], start
        keep, solve = (m.to(start) for m in self.matrices(step * diffusion))
        for frame in range(self.frames):
            before, after = other[..., frame, :], other[..., frame + 1, :]
            for k in range(self.substeps):
                left, right = (before + (after - before) * (j / self.substeps) for j in (k, k + 1))
                moved, pull = now @ keep, step * react(now, left)
                guess = (moved + pull) @ solve
                now = (moved + (pull + step * react(guess, right)) / 2) @ solve
            found.append(now)
        return torch.stack(found, -2)

    def matrices(self, number: float) -> tuple[Tensor, Tensor]:
        """``1 + d/2`` and the inverse of ``1 - d/2``, ``(n, n)`` in float64; d is that number of second differences."""
        k = torch.arange(self.n, dtype=torch.float64)
        waves = torch.cos(2 * math.pi * k[:, None] * k / self.n) / self.n
        eigenvalues = number * self.n**2 * (2 * torch.cos(2 * math.pi * k / self.n) - 2)
        circulant = lambda values: (values @ waves)[(k[:, None] - k).long() % self.n]
        return circulant(1 + eigenvalues / 2), circulant(1 / (1 - eigenvalues / 2))
