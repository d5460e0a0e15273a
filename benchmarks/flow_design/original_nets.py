r"""The original's recipe at the original's own sizes, for its time alone: the weights are random and know no flow.

A design is ``(18 + 3 K, 64, 64)``: velocity and pressure of 6 frames, which all ``K`` bodies share, and mask and
offsets of each. One step from level :math:`t` to the one below, with variances :math:`\beta` and
:math:`\bar\alpha_t = \prod (1 - \beta)`:

.. math:: \hat x = \frac{x - \sqrt{1 - \bar\alpha_t}\, \epsilon}{\sqrt{\bar\alpha_t}}, \qquad
          x \leftarrow \mu_t(\hat x, x) - c\, \beta_{T - t} \nabla_x J(x) + \sigma_t z .

The noise :math:`\epsilon` of the flow is the mean over bodies, a row of the network each. The cost :math:`J` of the
*noisy* state is what a second network says of the forces on all bodies together, summed over frames, and how far masks
cover each other. "Compositional Generative Inverse Design" (Wu et al., 2024), https://arxiv.org/abs/2401.13171; rebuilt
from its description and published settings.

Both networks have the parameters and the operations of the original's to a few per cent. Its attention and standardised
weights, which take further time, are left out, and all frames and bodies of a step go through a network in one batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from azula.nn.unet import UNet
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d
from torch.utils.flop_counter import FlopCounterMode

from sciencegen.nets.mlp import LevelFeatures

from .ours import sigmoid

__all__ = ["BODY", "FRAMES", "SIDE", "STATE", "Forces", "Predictor", "Recipe", "operations", "parameters"]

SIDE, FRAMES = 64, 6
STATE, BODY = 3 * FRAMES, 3  # channels: u, v, p of each frame; mask and offsets of a body
COARSE = 4  # times as coarse are masks where their overlap is measured


class Predictor(nn.Module):
    """The noise in a flow and one body, ``(N, 21, n, n)`` and levels ``(N, 1)`` to ``(N, 21, n, n)``."""

    def __init__(self, channels: Sequence[int] = (80, 144), blocks: Sequence[int] = (3, 2), features: int = 128
                 ) -> None:
        super().__init__()
        self.level = nn.Sequential(LevelFeatures(features), nn.Linear(features, features), nn.SiLU())
        self.body = UNet(STATE + BODY, STATE + BODY, hid_channels=tuple(channels), hid_blocks=tuple(blocks),
                         mod_features=features, norm="group")

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return self.body(x, self.level(level))


class Forces(nn.Module):
    """Drag and lift ``(N, 2)`` of pressure, mask and offsets ``(N, 4, n, n)``: a U-Net's way down, a mean, a head."""

    def __init__(self, channels: Sequence[int] = (64, 112, 272, 528), blocks: Sequence[int] = (1, 1, 2, 2)) -> None:
        super().__init__()
        self.down = UNet(1 + BODY, 1, hid_channels=tuple(channels), hid_blocks=tuple(blocks), norm="group").descent
        self.head = nn.Linear(channels[-1], 2)

    def forward(self, x: Tensor) -> Tensor:
        for depth in self.down:
            for block in depth:
                x = block(x)
        return self.head(x.mean((-2, -1)))


@dataclass(frozen=True)
class Recipe:
    """Guided stochastic steps for designs of several bodies.

    Arguments:
        noise, force: the networks.
        bodies: of a design.
        steps: of a whole run.
        coefficient: of the guidance.
    """

    noise: nn.Module
    force: nn.Module
    bodies: int = 2
    steps: int = 1000
    coefficient: float = 2e-4

    @cached_property
    def betas(self) -> Tensor:
        """The variances ``(steps,)`` that are added by each step."""
        return sigmoid(self.steps)

    @cached_property
    def kept(self) -> Tensor:
        """How much of a clean state's variance is left at each level, ``(steps,)``."""
        return torch.cumprod(1 - self.betas, 0)

    def start(self, count: int, random: torch.Generator, side: int = SIDE, dtype: torch.dtype = torch.float32
              ) -> Tensor:
        """Pure noise, ``(count, C, side, side)``."""
        return torch.randn(count, STATE + BODY * self.bodies, side, side, generator=random, dtype=dtype)

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The flow ``(B, 18, n, n)`` and the bodies ``(B, K, 3, n, n)`` of states."""
        return x[:, :STATE], x[:, STATE:].unflatten(1, (self.bodies, BODY))

    def predicted(self, x: Tensor, t: int) -> Tensor:
        """The noise in ``x``: of the flow the mean over bodies, of a body its own."""
        flow, bodies = self.parts(x)
        rows = torch.cat([flow[:, None].expand(-1, self.bodies, -1, -1, -1), bodies], 2).flatten(0, 1)
        level = x.new_full((len(rows), 1), t / self.steps)
        found = self.noise(rows, level).unflatten(0, (len(x), self.bodies))
        return torch.cat([found[:, :, :STATE].mean(1), found[:, :, STATE:].flatten(1, 2)], 1)

    def cost(self, x: Tensor) -> Tensor:
        """Drag, either way, and the force across, summed over frames, and overlap: ``(B,)``."""
        flow, bodies = self.parts(x)
        together = bodies.sum(1)
        together = torch.cat([together[:, :1].clamp(0, 1), together[:, 1:]], 1)
        pressure = flow.unflatten(1, (FRAMES, 3))[:, :, 2:]
        images = torch.cat([pressure, together[:, None].expand(-1, FRAMES, -1, -1, -1)], 2)
        drag, across = self.force(images.flatten(0, 1)).unflatten(0, (len(x), FRAMES)).sum(1).unbind(-1)
        return drag.abs() + across + overlap(bodies[:, :, 0])

    def pull(self, x: Tensor) -> Tensor:
        """The cost's gradient at the noisy state, as ``x``."""
        with torch.enable_grad():
            y = x.detach().requires_grad_()
            return torch.autograd.grad(self.cost(y).sum(), y)[0]

    @torch.no_grad()
    def step(self, x: Tensor, t: int, fresh: Tensor, guided: bool = True) -> Tensor:
        """From level ``t`` to the one below with the noise ``fresh``, both like ``x``."""
        beta, level = float(self.betas[t]), float(self.kept[t])
        below = float(self.kept[t - 1]) if t else 1.0
        clean = ((x - math.sqrt(1 - level) * self.predicted(x, t)) / math.sqrt(level)).clamp(-1, 1)
        mean = (math.sqrt(below) * beta * clean + math.sqrt(1 - beta) * (1 - below) * x) / (1 - level)
        if guided:
            mean = mean - self.coefficient * float(self.betas[-1 - t]) * self.pull(x)
        return mean + math.sqrt(beta * (1 - below) / (1 - level)) * fresh


def overlap(masks: Tensor) -> Tensor:
    """The inner products of all pairs of ``masks (B, K, n, n)``, made coarse: ``(B,)``."""
    small = avg_pool2d(masks, COARSE).flatten(2)
    return torch.triu(small @ small.mT, 1).sum((-2, -1))


def parameters(net: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(p.numel() for p in net.parameters())


def operations(net: nn.Module, *inputs: Tensor) -> int:
    """Multiplications and additions of one call, convolutions and products of matrices only."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(*inputs)
    return counter.get_total_flops()
