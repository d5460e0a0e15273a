r"""J1: speed and viscosity unknown, sixteen frames seen: what is left open of them, and the forecast that follows.

The prior is a law of four frames for each speed and viscosity, learned from trajectories that have their own: a window
is Gaussian by wave number, frame by frame, with coefficients that a network makes of the two numbers,

.. math:: E(w, \theta) = \tfrac12 \sum_k m_k \sum_j \Big( \frac{|w_j - \sum_{i<j} B_{ji}(k, \theta) w_i|^2}
          {q_j(k, \theta)} + \log q_j(k, \theta) \Big) .

It knows of no equation: which coefficients vanish or turn is learned. Its first frames are a law of their own, so that
longer times are windows less overlaps, with the parameters in both (:func:`sciencegen.compose.chain`). The exact answer
is the likelihood by innovations on the same grid of parameters.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import sciencegen as sg
from sciencegen.compose import chain
from sciencegen.energy import Ahead, Energy
from sciencegen.physics import AdvectionDiffusion
from sciencegen.random import Streams
from sciencegen.view import View

__all__ = ["Grid", "Posterior", "Windows", "composed", "exact", "follow", "learned", "paths"]

CELLS, LENGTH, SEEN, AHEAD = 64, 4, 16, 16
C, NU = (0.5, 1.5), (0.01, 0.04)
SYSTEM = AdvectionDiffusion(CELLS)
LAYOUT = sg.Layout(
    u=sg.Variable((LENGTH, CELLS), dims=("time", "x")),
    c=sg.Variable((), loc=sum(C) / 2, scale=(C[1] - C[0]) / 12**0.5),
    nu=sg.Variable((), loc=sum(NU) / 2, scale=(NU[1] - NU[0]) / 12**0.5))
HELD, SIDE, WIDE = 10**6, 31, 5.0  # seeds of what is held out; points along a grid, and its half width in deviations


def paths(count: int, frames: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Trajectories ``(count, frames, n)`` of speeds and viscosities of their own, uniform."""
    generator = torch.Generator().manual_seed(seed)
    shares = torch.rand(count, 2, generator=generator, dtype=torch.float64)
    c, nu = C[0] + (C[1] - C[0]) * shares[:, 0], NU[0] + (NU[1] - NU[0]) * shares[:, 1]
    return follow(None, frames, c, nu, generator), c, nu


def follow(start: Tensor | None, frames: int, c: Tensor, nu: Tensor, generator: torch.Generator) -> Tensor:
    """The exact law: ``frames`` after ``start (count, n)``, or from the stationary law on."""
    factor, kick, power = SYSTEM.modes(c, nu)
    white = lambda: torch.randn(len(c), CELLS, generator=generator, dtype=torch.float64)
    path = [SYSTEM.coloured(power, white())] if start is None else []
    while len(path) < frames:
        last = torch.fft.rfft(path[-1] if path else start)
        path.append(torch.fft.irfft(factor * last, CELLS) + SYSTEM.coloured(kick, white()))
    return torch.stack(path, 1)


class Coefficients(nn.Module):
    """A network from two numbers ``(*B, 2)`` to complex ``B (*B, K, pairs)`` and ``log q (*B, K, L)``."""

    def __init__(self, length: int = LENGTH, cells: int = CELLS, width: int = 128) -> None:
        super().__init__()
        self.pairs, self.waves, self.length = length * (length - 1) // 2, cells // 2 + 1, length
        out = self.waves * (2 * self.pairs + length)
        self.deep = nn.Sequential(nn.Linear(2, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(),
                                  nn.Linear(width, out))
        self.straight = nn.Linear(2, out)
        turns = torch.ones(self.waves, 1)
        turns[0] = turns[-1] = 0  # the mean and the highest wave number are real
        self.register_buffer("turns", turns, persistent=False)
        self.register_buffer("scale", torch.ones(self.waves))
        for value in (*self.deep[-1].parameters(), *self.straight.parameters()):
            nn.init.zeros_(value)

    def forward(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        out = (self.deep(theta) + self.straight(theta)).unflatten(-1, (self.waves, -1))
        gains = out[..., : 2 * self.pairs].unflatten(-1, (self.pairs, 2))
        return torch.complex(gains[..., 0], self.turns * gains[..., 1]), out[..., 2 * self.pairs:]


class Windows(Energy):
    """``E(w, theta) = -log p(w | theta)`` of the first ``frames`` frames; an energy of clean states.

    The state is ``frames`` fields and the two parameters. The parameters' own law is a term apart: here it is uniform.
    """

    def __init__(self, net: Coefficients, frames: int = LENGTH) -> None:
        super().__init__()
        self.net, self.frames = net, frames
        count = torch.full((net.waves,), 2.0)
        count[0] = count[-1] = 1
        self.register_buffer("count", count, persistent=False)

    def modes(self, fields: Tensor) -> Tensor:
        """Fourier coefficients ``(*B, K)`` of fields, each wave number in units of its deviation."""
        return torch.fft.rfft(fields, norm="forward") / self.net.scale.to(fields)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Modes ``(*B, L, K)`` and parameters ``(*B, 2)``."""
        return self.modes(x[..., :-2].unflatten(-1, (-1, CELLS))), x[..., -2:]

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        window, theta = self.split(x)
        return self.cost(window, *self.net(theta))

    def cost(self, window: Tensor, gains: Tensor, logs: Tensor) -> Tensor:
        """The energy ``(*B)`` of modes ``(*B, L, K)``."""
        total = 0.0
        for j in range(self.frames):
            off = window[..., j, :] - self.expected(window, gains, j)
            total = total + off.abs().square() * (-logs[..., j]).exp() + logs[..., j]
        return (self.count.to(total) * total).sum(-1) / 2

    def expected(self, window: Tensor, gains: Tensor, j: int) -> Tensor:
        """The mean of frame ``j`` given those before it."""
        first = j * (j - 1) // 2
        return sum((gains[..., first + i] * window[..., i, :] for i in range(j)), torch.zeros_like(window[..., 0, :]))

    def marginal(self, view: View) -> Energy:
        """Of the first frames and the parameters."""
        return Windows(self.net, (view.rows.numel() - 2) // CELLS)

    def takes(self, rows: Tensor) -> bool:
        return True

    def ahead(self, view: View, sampler: Any) -> Ahead:
        """The other frames where the first ones and the parameters are known: frame by frame, in closed form."""
        memory = (view.rows.numel() - 2) // CELLS

        def draw(value: Tensor, noise: Streams) -> Tensor:
            fields, theta = value[:, :-2].unflatten(-1, (memory, CELLS)), value[:, -2:]
            window, (gains, logs) = self.modes(fields), self.net(theta)
            white = noise.normal((self.frames - memory) * CELLS, value.dtype).unflatten(-1, (-1, CELLS)).to(value)
            for j in range(memory, self.frames):
                fresh = torch.fft.rfft(white[:, j - memory], norm="ortho") * (logs[..., j] / 2).exp()
                window = torch.cat([window, (self.expected(window, gains, j) + fresh)[:, None]], 1)
            return torch.fft.irfft(window[:, memory:] * self.net.scale.to(value), CELLS, norm="forward").flatten(1)

        return draw

    def __repr__(self) -> str:
        return f"Windows({self.frames} frames)"


@torch.enable_grad()
def learned(trajectories: int, seconds: float, seed: int) -> tuple[Windows, dict[str, float]]:
    """The prior of greatest likelihood, after so many CPU seconds; the weights are a mean over the last steps."""
    fields, c, nu = paths(trajectories, 32, seed)
    net = Coefficients()
    net.scale = torch.fft.rfft(fields, norm="forward").abs().square().mean((0, 1)).sqrt().float()
    prior, kept = Windows(net), torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995))
    modes = prior.modes(fields).to(torch.complex64)
    theta = torch.stack([(v - LAYOUT.variables[k].loc) / LAYOUT.variables[k].scale for k, v in (("c", c), ("nu", nu))],
                        -1).float()
    descent, generator = torch.optim.AdamW(net.parameters(), 3e-3), torch.Generator().manual_seed(seed)
    since, steps = time.process_time(), 0
    while (spent := (time.process_time() - since) / seconds) < 1:
        rate = 3e-3 * min(1.0, (steps + 1) / 50) * (0.5 + 0.5 * math.cos(math.pi * spent))
        for group in descent.param_groups:
            group["lr"] = rate
        rows = torch.randint(0, trajectories, (256,), generator=generator)
        first = torch.randint(0, 32 - LENGTH + 1, (256, 1), generator=generator)
        window = modes[rows[:, None], first + torch.arange(LENGTH)]
        loss = prior.cost(window, *net(theta[rows])).mean() / (LENGTH * CELLS)
        descent.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        descent.step()
        kept.update_parameters(net)
        steps += 1
    cost = {"training": time.process_time() - since, "steps": steps, "parameters": sum(
        p.numel() for p in net.parameters())}
    return Windows(kept.module.double().requires_grad_(False)).double(), cost


@dataclass(frozen=True)
class Grid:
    """Speeds ``(a,)`` and viscosities ``(b,)``."""

    c: Tensor
    nu: Tensor

    @classmethod
    def around(cls, seen: Tensor) -> Grid:
        """Where the exact posterior of a path ``(T, n)`` is."""
        c, nu = torch.linspace(*C, 81, dtype=torch.float64), torch.linspace(*NU, 61, dtype=torch.float64)
        for _ in range(3):
            found, ends = Posterior.of(cls(c, nu), exact(cls(c, nu), seen)), []
            for values, mean, deviation, (low, high) in zip((c, nu), found.mean, found.deviation, (C, NU)):
                wide = WIDE * max(float(deviation), float(values[1] - values[0]) / 2)
                ends.append((max(low, float(mean) - wide), min(high, float(mean) + wide)))
            c, nu = (torch.linspace(*end, SIDE, dtype=torch.float64) for end in ends)
        return cls(c, nu)

    @property
    def points(self) -> Tensor:
        """``(a b, 2)``."""
        return torch.cartesian_prod(self.c, self.nu)


@dataclass(frozen=True)
class Posterior:
    """Probabilities ``(a b,)`` on a grid."""

    grid: Grid
    shares: Tensor

    @classmethod
    def of(cls, grid: Grid, log: Tensor) -> Posterior:
        """From logarithms of a density."""
        return cls(grid, log.softmax(0))

    @property
    def mean(self) -> Tensor:
        """``(2,)``."""
        return self.shares @ self.grid.points

    @property
    def deviation(self) -> Tensor:
        """``(2,)``."""
        return (self.shares @ (self.grid.points - self.mean).square()).sqrt()

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Points ``(count, 2)``, anywhere in their cells."""
        cell = torch.stack([self.grid.c[1] - self.grid.c[0], self.grid.nu[1] - self.grid.nu[0]])
        which = torch.multinomial(self.shares, count, replacement=True, generator=generator)
        return self.grid.points[which] + cell * (torch.rand(count, 2, generator=generator, dtype=torch.float64) - 0.5)


def exact(grid: Grid, seen: Tensor) -> Tensor:
    """Log likelihood ``(a b,)`` by innovations."""
    return SYSTEM.log_likelihood(seen[None], *grid.points.unbind(-1))[0]


@torch.no_grad()
def composed(prior: Windows, overlap: int, grid: Grid, seen: Tensor, told: bool = True) -> Tensor:
    """Minus the energy ``(a b,)`` of the whole path: windows less overlaps, which are told the parameters or not."""
    layout = LAYOUT.grown("u", length=len(seen))
    whole = chain(prior, layout, overlap)
    if not told:  # what then depends on the parameters is the windows alone
        whole = prior.on(layout["u"].windows(LENGTH, LENGTH - overlap) & layout["c"] & layout["nu"])
    units = [(v - LAYOUT.variables[k].loc) / LAYOUT.variables[k].scale for k, v in
             zip(("c", "nu"), grid.points.unbind(-1))]
    x = torch.cat([seen.flatten().expand(len(grid.points), -1), torch.stack(units, -1)], -1)
    return -torch.cat([whole(part, torch.zeros((), dtype=x.dtype)) for part in x.split(256)])
