r"""The Kuramoto-Sivashinsky equation :math:`u_t + u u_x + u_{xx} + u_{xxxx} = 0` on a periodic interval.

Chaos in one dimension: long waves grow, short ones are damped, the product passes energy on. Pseudo-spectral in space
and, in time, exponential time differencing with the Runge-Kutta scheme of fourth order (ETDRK4): the stiff linear part
is integrated exactly. The coefficients are means over a circle in the complex plane, since their formulas lose all
digits where the linear part is small. At length 22 the Lyapunov time is 20 and the deviation of ``u`` is 1.19.

References:
    Fourth-Order Time-Stepping for Stiff PDEs (Kassam & Trefethen, 2005), https://doi.org/10.1137/S1064827502410633;
    On the State Space Geometry of the Kuramoto-Sivashinsky Flow in a Periodic Domain (Cvitanovic, Davidchack & Siminos,
    2010), https://doi.org/10.1137/070705623, for length 22.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from .fields import white
from .frames import defects, march
from .grids import check
from .system import Part, Stored

__all__ = ["KuramotoSivashinsky"]

COARSEST = 22 / 16  # a wider cell leaves out the waves that damp
WARM, WARM_STEP = 100.0, 0.25  # five Lyapunov times at length 22


class _Coefficients(NamedTuple):
    """Of one step: what is left of a mode after it and after half of it, and the weights of the four rates."""

    whole: Tensor
    half: Tensor
    middle: Tensor
    first: Tensor
    second: Tensor
    last: Tensor


@dataclass(frozen=True)
class KuramotoSivashinsky:
    """Parts: start ``a (*B, n)``, later states ``u (*B, frames, n)``.

    Arguments:
        n: cells.
        length: of the interval.
        frame: time between frames.
        frames: how many.
        steps: steps in a frame; 5 in half a unit of time leave an error of 4e-6 of the norm a frame.
        size: the natural size of a state.
    """

    n: int
    length: float = 22.0
    frame: float = 0.5
    frames: int = 8
    steps: int = 5
    size: float = 1.19

    @classmethod
    def resolved(cls, n: int) -> KuramotoSivashinsky:
        """Of length 22, or of as much as ``n`` cells resolve."""
        return cls(n, length=min(22.0, COARSEST * n))

    @property
    def parts(self) -> dict[str, Part]:
        """Start ``a`` and later states ``u``."""
        times = [self.frame * (i + 1) for i in range(self.frames)]
        cells = partial(Part.cells, self.n, "x", periodic=True, length=self.length)
        return {"a": cells(), "u": cells(times=times)}

    @property
    def symmetries(self) -> tuple[()]:
        """None that is made use of."""
        return ()

    def draw(self, count: int, seed: int = 0, first: int = 0) -> dict[str, Tensor]:
        """States on the attractor, ``{"a": (count, n)}`` in float64: noise, and a hundred units of time after it."""
        noise = white(self.n, count, seed, first, 1)
        steps = round(WARM / WARM_STEP)
        return {"a": self._advance(noise - noise.mean(-1, keepdim=True), WARM_STEP, steps)}

    def read(self, stored: Stored) -> Mapping[str, KuramotoSivashinsky]:
        """With the file's frames, and its ``length`` where it stores one."""
        length = stored.parameters.get("length", self.length)
        read = replace(self, length=length, frame=stored.frame, frames=stored.frames)
        return {f"length = {length:.4g}": read}

    def advance(self, u: Tensor) -> Tensor:
        """The state one frame after ``u (*B, n)``."""
        check("u", u, self.n)
        return self._advance(u, self.frame / self.steps, self.steps)

    def _advance(self, u: Tensor, step: float, steps: int) -> Tensor:
        like = {"dtype": torch.float64, "device": u.device}
        wave = 2 * math.pi / self.length * torch.arange(self.n // 2 + 1, **like)
        weight = _Coefficients(*(w.to(u) for w in _coefficients(wave**2 - wave**4, step)))
        modes = torch.fft.rfft(u)
        odd = wave * (torch.arange(len(wave), device=u.device) < self.n / 2)  # the highest has no sine to go to
        slope = (-0.5j * odd).to(modes)
        rate = lambda v: slope * torch.fft.rfft(torch.fft.irfft(v, self.n) ** 2)
        for _ in range(steps):
            now = rate(modes)
            a = weight.half * modes + weight.middle * now
            at_a = rate(a)
            at_b = rate(weight.half * modes + weight.middle * at_a)
            at_c = rate(weight.half * a + weight.middle * (2 * at_b - now))
            modes = weight.whole * modes + weight.first * now + weight.second * (at_a + at_b) + weight.last * at_c
        return torch.fft.irfft(modes, self.n)

    def solve(self, a: Tensor) -> Tensor:
        """The frames ``(*B, frames, n)`` after ``a``; differentiable."""
        return march(self.advance, a, self.frames, dims=1)

    def residual(self, a: Tensor, u: Tensor) -> Tensor:
        """``(*B, frames n)``: what each frame differs by from the map of the one before it, over ``size``.

        The norm of a row is the rms over the interval, added in quadrature over the frames: zero for a solution to
        rounding, about 1 for ``u = 0``.
        """
        return defects(self.advance, a, u, 1, self.size)


def _coefficients(linear: Tensor, step: float) -> _Coefficients:
    """Those of ETDRK4 for the eigenvalues ``linear (K,)``, by 32 points on a circle of radius one around each."""
    angle = math.pi * (torch.arange(32, dtype=torch.float64, device=linear.device) + 0.5) / 32  # the upper half
    z = step * linear[:, None] + torch.polar(torch.ones_like(angle), angle)
    mean = lambda f: step * f.real.mean(-1)
    e = z.exp()
    return _Coefficients(
        (step * linear).exp(), (step / 2 * linear).exp(), mean(((z / 2).exp() - 1) / z),
        mean((-4 - z + e * (4 - 3 * z + z**2)) / z**3), 2 * mean((2 + z + e * (z - 2)) / z**3),
        mean((-4 - 3 * z - z**2 + e * (4 - z)) / z**3))
