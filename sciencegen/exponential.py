r"""An exponential integrator of the probability flow: the Gaussian inside of an energy is followed exactly.

With the Gaussian ``N(m, C)`` and the whitened state ``y = (C + s^2)^{-1/2} (x - m)`` the flow of the Gaussian stands
still, and what is left is the score's departure ``r`` from it. By mode, of variance ``v`` and angle ``p = atan(s /
sqrt v)``,

.. math:: dy = -F \, dp, \quad F = s \sqrt{(v + s^2) / v} \; r ,

where ``F`` is what a :class:`sciencegen.priors.Denoiser`'s network says, of order one at every level. So the error of
a step is one of the network's change along it, and none where the data are Gaussian. A linear part that is integrated
exactly: "Fast Sampling of Diffusion Models with Exponential Integrator" (Zhang & Chen, 2023),
https://arxiv.org/abs/2204.13902; the angle: "Simplifying, Stabilizing and Scaling Continuous-Time Consistency Models"
(Lu & Song, 2025), https://arxiv.org/abs/2410.11081.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .energy import Energy, Evaluation
from .exact import Gaussian
from .random import Streams
from .sample import Sampler

__all__ = ["Exponential"]


@dataclass(frozen=True)
class Exponential(Sampler):
    """Second order in the angle with one score a step, exact for the Gaussian inside of the energy.

    A unit Gaussian takes its place where the energy has none. The first step, and one after a corrector moved the
    state, is of first order.
    """

    def step(self, energy: Energy, x: Tensor, a: float, b: float, state: Any, noise: Streams,
             before: Evaluation | None = None) -> tuple[Tensor, Any, Evaluation]:
        at = before or energy.evaluate(x, a)
        around = energy.gaussian() or Gaussian(torch.zeros_like(x[0]), 1.0)
        variances = around.variances.clamp_min(torch.finfo(x.dtype).tiny)
        wide, narrow, root = variances + a**2, variances + b**2, variances.sqrt()
        modes = around.modes(x - around.center)
        slope = a * (wide / variances).sqrt() * (around.modes(at.score) + modes / wide)
        angle = torch.atan(a / root) - torch.atan(b / root)
        last, before_angle, end = state or (None, None, None)
        turn = slope if x is not end else slope + (slope - last) * (angle / before_angle / 2)
        white = modes * wide.rsqrt() + angle * turn
        x = around.center + around.back(white * narrow.sqrt())
        return x, (slope, angle, x), at
