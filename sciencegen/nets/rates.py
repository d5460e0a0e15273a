r"""Fields that are marched: a learned rate of change, fixed stencils, and a Runge-Kutta method in time.

A network that knows how fast a field changes where it is, rather than what it is a frame later, has little to learn:

.. math:: x_t = d \Delta x + R_\theta(x, m, p)

with a Laplacian by fixed differences and a learned diffusivity ``d``, what stays as it is (a microstructure ``m``) and
numbers (a load ``p``), which are channels or *modulate*: they scale and shift the features, as adaptive instance
normalisation does, but without the statistics of an instance. Several steps make a frame, so that a front may move
further in a frame than a convolution sees: half a step of diffusion, one of the rate, half a step of diffusion, each by
Heun's method (Strang's splitting, second order). The same map makes all frames of a window one after the other, and a
training of windows of several frames is one of roll-outs: errors that grow are seen and unlearned.

References:
    PARC: Physics-aware recurrent convolutional neural networks to assimilate meso scale reactive mechanics of energetic
    materials (Nguyen et al., 2023), https://doi.org/10.1126/sciadv.add6868; PARCv2: Physics-aware Recurrent
    Convolutional Neural Networks for Spatiotemporal Dynamics Modeling (Nguyen et al., 2024),
    https://arxiv.org/abs/2402.12503, for stencils and integrator; Arbitrary Style Transfer in Real-time with Adaptive
    Instance Normalization (Huang & Belongie, 2017), https://arxiv.org/abs/1703.06868; Language Modeling with Gated
    Convolutional Networks (Dauphin et al., 2016), https://arxiv.org/abs/1612.08083; On the construction and comparison
    of difference schemes (Strang, 1968), https://doi.org/10.1137/0705041.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["March", "Rates"]

MOST = 4.0  # of a feature: what leaves the data cannot run away in a roll-out
SHARP = (0.2, 10.0)  # how the share of the largest diffusivity is begun with, and how fast it is learned


class March(nn.Module):
    """A window of frames by one map from frame to frame, ``(u, c, keep) -> (N, n)``: the first frame is known.

    What is returned of frames after the first is what they are, in the units of the state: for a
    :class:`sciencegen.priors.stepper.Stepper` with a Gaussian of mean 0 and variances 1.

    Arguments:
        shapes: of the parts, in the order of the state: ``(L, rows, columns)`` of what moves, ``(rows, columns)`` of
            what stays, ``()`` of numbers.
        step: ``(now (N, F, rows, columns), still (N, S, rows, columns), numbers (N, M))`` to the next ``now``.

    Raises:
        ValueError: nothing moves, a window of one frame, or parts on different grids.
    """

    def __init__(self, shapes: Sequence[Sequence[int]], step: nn.Module) -> None:
        super().__init__()
        self.shapes, self.step = [tuple(shape) for shape in shapes], step
        frames = {shape[0] for shape in self.shapes if len(shape) == 3}
        grids, axes = {shape[-2:] for shape in self.shapes if shape}, {len(shape) for shape in self.shapes}
        if len(frames) != 1 or len(grids) != 1 or min(frames) < 2 or axes - {0, 2, 3}:
            raise ValueError(f"got parts of shapes {self.shapes}; expected (L, rows, columns) of fields that move, two "
                             "frames or more, (rows, columns) of those that do not and () of numbers, on one grid")
        (self.frames,) = frames

    def forward(self, u: Tensor, c: Tensor, keep: Tensor) -> Tensor:
        """``u, keep (N, n)``, ``c (N, 1)`` to ``(N, n)``: zero where nothing is asked for."""
        parts = [part.reshape(-1, *shape) for part, shape in zip(u.split(list(map(math.prod, self.shapes)), -1),
                                                                  self.shapes)]
        moving, still, numbers = ([part for part, shape in zip(parts, self.shapes) if len(shape) == axes]
                                  for axes in (3, 2, 0))
        now = torch.stack([part[:, 0] for part in moving], 1)
        rest = torch.stack(still, 1) if still else now[:, :0]
        told, path = torch.stack(numbers, 1) if numbers else u[:, :0], [torch.zeros_like(now)]
        for _ in range(self.frames - 1):
            now = self.step(now, rest, told)
            path.append(now)
        fields = iter(torch.stack(path, 2).unbind(1))
        out = [next(fields) if len(shape) == 3 else torch.zeros_like(part) for part, shape in zip(parts, self.shapes)]
        return torch.cat([part.flatten(1) if part.ndim > 1 else part[:, None] for part in out], -1)


class Rates(nn.Module):
    """A frame's step: diffusion by fixed stencils and a learned rate in turn, on a periodic grid; none when untrained.

    Arguments:
        fields, still, numbers: how many fields move, how many stay, and numbers.
        width: features.
        layers: of gated features ``sigmoid(A x) * B x``, at most 4 each, the first of ``kernel x kernel`` points, the
            others of one.
        kernel: points along a side that the rate sees; odd.
        steps: in a frame; the diffusivity is at most half as many square pixels.
        modulated: numbers scale and shift the features of each layer; else they are channels.

    Raises:
        ValueError: an even kernel, or no layer or step.
    """

    def __init__(self, fields: int, still: int = 0, numbers: int = 0, width: int = 32, layers: int = 1, kernel: int = 1,
                 steps: int = 6, modulated: bool = False) -> None:
        super().__init__()
        if kernel % 2 == 0 or layers < 1 or steps < 1:
            raise ValueError(f"got kernel={kernel}, layers={layers}, steps={steps}; expected an odd number of points, "
                             "and one or more of the others")
        self.steps, self.side = steps, kernel // 2
        modulated = modulated and numbers > 0
        self.channels = 0 if modulated else numbers
        sizes, sides = [fields + still + self.channels, *[width] * layers], [kernel, *[1] * (layers - 1)]
        self.layers = nn.ModuleList(nn.Conv2d(a, 2 * b, side) for (a, b), side in zip(pairwise(sizes), sides))
        self.modulate = nn.ModuleList(nn.Linear(numbers, 2 * width) for _ in sides if modulated)
        self.leave, self.conduct = nn.Conv2d(width, fields, 1), nn.Parameter(torch.full((fields,), -SHARP[0]))
        for layer in (self.leave, *self.modulate):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    @property
    def diffusivity(self) -> Tensor:
        """Of each field, ``(fields,)``, in square pixels per frame."""
        return self.steps / 2 * torch.sigmoid(SHARP[1] * self.conduct)

    def forward(self, now: Tensor, still: Tensor, numbers: Tensor) -> Tensor:
        """``now (N, fields, rows, columns)`` a frame later, what stays and numbers being what they are."""
        channels = numbers[:, : self.channels, None, None].expand(-1, -1, *now.shape[2:])
        around, told = torch.cat([still, channels], 1), numbers[:, self.channels :]
        scales = [layer(told)[..., None, None].chunk(2, 1) for layer in self.modulate] or [(0, 0)] * len(self.layers)
        half = self.diffusivity[:, None, None] / (2 * self.steps)
        for _ in range(self.steps):
            now = diffused(now, half)
            first = self.rate(now, around, scales) / self.steps
            now = now + (first + self.rate(now + first, around, scales) / self.steps) / 2
            now = diffused(now, half)
        return now

    def rate(self, now: Tensor, around: Tensor, scales: Sequence[Sequence[Tensor | int]]) -> Tensor:
        """What changes but by diffusion, per frame."""
        h = torch.cat([now, around], 1)
        h = functional.pad(h, [self.side] * 4, mode="circular") if self.side else h
        for layer, (scale, shift) in zip(self.layers, scales, strict=True):
            gate, h = layer(h).chunk(2, 1)
            h = torch.sigmoid((1 + scale) * gate + shift) * h.clamp(-MOST, MOST)
        return self.leave(h)


def diffused(fields: Tensor, share: Tensor) -> Tensor:
    """A step of diffusion by Heun's method, ``share`` being the diffusivity times the step; stable up to 1 / 4."""
    once = share * laplacian(fields)
    return fields + once + share * laplacian(once) / 2


def laplacian(fields: Tensor) -> Tensor:
    """The 5-point Laplacian of ``(N, C, rows, columns)``, periodic, spacing one."""
    padded = functional.pad(fields, [1] * 4, mode="circular")
    across = padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1]
    return across + padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:] - 4 * fields
