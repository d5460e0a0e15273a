r"""The sampler of compositional generative inverse design, from its description, on our energies.

1000 steps of denoising diffusion with a cosine schedule; at each, ten times: average the predicted noise over the
windows that cover a frame and over the partners of a body, clip the clean state, take the posterior mean of the level
below, subtract the gradient of the objective *at the noisy state* with a constant weight, and noise it up again. The
gradient of a distance is a unit vector, so that every one of the 10,000 evaluations, the last ones too, pushes each
body's last frame by ``coefficient`` box lengths. "Compositional Generative Inverse Design" (Wu et al., 2024),
https://arxiv.org/abs/2401.13171; rebuilt from its description and published settings.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sciencegen.calls import Plan
from sciencegen.energy import Energy, Evaluation, score_only
from sciencegen.layout import Layout, Variable
from sciencegen.random import Streams
from sciencegen.view import View, gather, scatter

__all__ = ["Averaged", "Original", "cosine"]

UNIT = 0.25  # box lengths: spread of the data in the units in which the original adds noise


class Averaged(Energy):
    """The mean, not the sum, of a score over the copies that hold a coordinate; the gradient of no energy."""

    exact = False

    def __init__(self, energy: Energy, view: View) -> None:
        super().__init__()
        self.energy, self.view = energy, view
        self.register_buffer("rows", view.rows, persistent=False)
        self.register_buffer("count", scatter(torch.ones(view.rows.shape), view.rows, view.size), persistent=False)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        raise score_only(self)

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        lifted = sigma.reshape(*sigma.shape[:-1], *(1,) * self.view.copies, 1) if sigma.ndim else sigma
        mean = lambda e: Evaluation(None, scatter(e.score, self.rows, self.view.size) / self.count.to(x))
        return self.energy.plan(gather(x, self.rows), lifted).then(mean)


def cosine(steps: int = 1000, offset: float = 8e-3) -> Tensor:
    """``(steps,)`` betas of "Improved Denoising Diffusion Probabilistic Models" (Nichol & Dhariwal, 2021)."""
    at = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    level = torch.cos((at + offset) / (1 + offset) * math.pi / 2) ** 2
    return (1 - level[1:] / level[:-1]).clamp(0, 0.999)


@dataclass(frozen=True)
class Original:
    """Draws designs with ``steps * recurrences`` evaluations of the (averaged) network, one after another.

    The state ``x`` enters as ``y = sqrt(kept) UNIT x + sqrt(1 - kept) noise``, so that ``x + sigma noise`` is
    ``y / (sqrt(kept) UNIT)`` at ``sigma = sqrt(1 / kept - 1) / UNIT``.

    Arguments:
        layout: one variable ``(frames, bodies, 4)`` in box units.
        target: ``(2,)`` or a row each, in box units: where the bodies should end.
        coefficient: of the distance to it, a number or one a row, ``(B, 1, 1)``.
        consistency: of the mean square displacement between frames.
        steps, recurrences: levels, and evaluations at each.
    """

    layout: Layout
    target: Tensor
    coefficient: float | Tensor
    consistency: float = 0.1
    steps: int = 1000
    recurrences: int = 10

    @property
    def evaluations(self) -> int:
        """Of the network, one after another."""
        return self.steps * self.recurrences

    def __call__(self, energy: Energy, seeds: Tensor) -> Tensor:
        """Clean states ``(B, d)`` in float32; ``energy`` is averaged, ``seeds (B,)``."""
        for _, y in self.path(energy, seeds):
            pass
        return y / UNIT

    @torch.no_grad()
    def path(self, energy: Energy, seeds: Tensor, start: tuple[int, Tensor] | None = None
             ) -> Iterator[tuple[int, Tensor]]:
        """Yield ``(t, y)`` after each level ``t``, the last of which is 0; one of them is where a later path starts."""
        beta, noise, size = cosine(self.steps), Streams(seeds), self.layout.size
        kept = torch.cumprod(1 - beta, 0)
        last, y = start or (self.steps, noise.at(-1).normal(size, torch.float32))
        for t in reversed(range(last)):
            level, below = float(kept[t]), float(kept[t - 1]) if t else 1.0
            for k in range(self.recurrences):
                pushed = self.pushed(energy, y, float(beta[t]), level, below)
                fresh = noise.at(t, k).normal(size, y.dtype)
                y = math.sqrt(1 - beta[t]) * pushed + math.sqrt(beta[t]) * fresh
            spread = math.sqrt(beta[t] * (1 - below) / (1 - level))
            y = pushed + spread * noise.at(t, self.recurrences).normal(size, y.dtype)
            yield t, y

    def pushed(self, energy: Energy, y: Tensor, beta: float, kept: float, below: float) -> Tensor:
        """The posterior mean of the level below, less the objective's gradient at ``y``."""
        clean = energy.mean(y / (math.sqrt(kept) * UNIT), math.sqrt(1 / kept - 1) / UNIT)
        low, high = self.bounds
        clean = UNIT * clean.clamp(low.to(y), high.to(y))
        mean = (math.sqrt(below) * beta * clean + math.sqrt(1 - beta) * (1 - below) * y) / (1 - kept)
        return mean - UNIT * self.gradient(y, kept)

    @cached_property
    def bounds(self) -> tuple[Tensor, Tensor]:
        """Of the state: the original clips box coordinates to -1 and 1."""
        return tuple((edge - self.layout.loc) / self.layout.scale for edge in (-1.0, 1.0))

    def gradient(self, y: Tensor, kept: float) -> Tensor:
        """In box units, by the box coordinates of the noisy state, but in units of the state."""
        shape = self._variable.shape
        at = y * self.layout.scale.to(y) / UNIT + math.sqrt(kept) * self.layout.loc.to(y)
        at = at.reshape(len(y), *shape)[..., :2]
        gap = at[:, -1] - self.target.reshape(-1, 1, 2).to(y)
        moved = at.diff(dim=1) * (2 * self.consistency / (shape[0] - 1))
        force = y.new_zeros(len(y), *shape)
        force[:, 1:, :, :2] += moved
        force[:, :-1, :, :2] -= moved
        force[:, -1, :, :2] += self.coefficient * gap / gap.norm(dim=-1, keepdim=True)
        return force.flatten(1) / self.layout.scale.to(y)

    @property
    def _variable(self) -> Variable:
        (variable,) = self.layout.variables.values()
        return variable
