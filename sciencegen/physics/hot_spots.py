r"""Hot spots in an energetic material: voids that collapse under a shock ignite what is around them, or fail to.

Temperature :math:`T` and burnt share :math:`\lambda` on a periodic square, in pixels, of a material :math:`m` that is 1
in the solid and 0 in voids:

.. math:: T_t = D \Delta T + Q r - c (T - T_0), \quad \lambda_t = r = (1 - \lambda) A m e^{-T_a / T}

The load heats where voids collapse, :math:`T = T_0 + h\,\text{load}\,G * (1 - m) + \text{load} / 10` at the start, with
a Gaussian blur :math:`G`. Whether a spot grows or goes out depends on its size and its neighbours: a quadratic in the
load explains about half of the variance of the burnt share.

A step solves the reaction exactly at the mean of two rates, :math:`1 - \lambda' = (1 - \lambda) e^{-\tau (k_1 + k_2) /
2}`, and all else by Heun's method: second order; :math:`\lambda` rises and never passes one; and what the reaction
releases is :math:`Q` times what burns, to rounding.

References:
    PARC: Physics-aware recurrent convolutional neural networks to assimilate meso scale reactive mechanics of energetic
    materials (Nguyen et al., 2023), https://doi.org/10.1126/sciadv.add6868, for the question; the equations are the
    usual ones of a one-step reaction, and no calibrated material.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .fields import generator
from .grids import check
from .system import Part, Stored
from .turns import SQUARE, Orientation

__all__ = ["HotSpots", "Moved"]

BLUR, EVEN = 1.2, 0.1  # of the heat of a collapse, in pixels; share of the load that heats everywhere
VOIDS, RADII, REFERENCE = (3, 14), (1.5, 5.0), 64  # how many on a square of that side, and of which radii, in pixels
TRIES = 1000  # places for a void before it is left out
HOT, ALIVE = 1.0, 0.1  # temperature of a hot spot; burnt share from which a sample has ignited


@dataclass(frozen=True)
class Moved:
    """A symmetry of the periodic square: a turn or mirror, then a shift; what has no place in space stays as it is."""

    turn: Orientation = Orientation(0)
    shift: tuple[int, int] = (0, 0)

    def __call__(self, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Parts ``(*B, ..., n, n)`` moved over their last two axes; the load as it is."""
        fields = self.turn({name: value for name, value in parts.items() if name != "load"})
        return {name: fields[name].roll(self.shift, (-2, -1)) if name in fields else value
                for name, value in parts.items()}


@dataclass(frozen=True)
class HotSpots:
    """Parts: microstructure ``(*B, n, n)``, load ``(*B)``, temperature and burnt share ``(*B, frames, n, n)``.

    Axes are y, x. The last two are solved for; frames follow the start, at which nothing is burnt.

    Arguments:
        n: pixels along a side.
        diffusivity: D, in square pixels per time.
        heat_release: Q.
        rate: A.
        activation: :math:`T_a`.
        ambient: :math:`T_0`.
        loss: c.
        collapse: h, what a void's collapse heats per load.
        loads: range of the load.
        frame: time between frames.
        frames: how many.
        steps: of the solver in a frame.
    """

    n: int
    diffusivity: float = 0.35
    heat_release: float = 1.0
    rate: float = 60.0
    activation: float = 5.5
    ambient: float = 0.28
    loss: float = 0.012
    collapse: float = 1.5
    loads: tuple[float, float] = (0.35, 1.0)
    frame: float = 6.0
    frames: int = 20
    steps: int = 24

    @property
    def parts(self) -> dict[str, Part]:
        """Microstructure and load, then temperature and burnt share."""
        axes = {"y": [*range(self.n)], "x": [*range(self.n)]}
        whole = {"time": [self.frame * (i + 1) for i in range(self.frames)], **axes}
        shape, around = (self.frames, self.n, self.n), ("y", "x")
        return {"microstructure": Part(shape[1:], around, axes, low=0.0, high=1.0, periodic=around),
                "load": Part((), (), low=0.0),
                "temperature": Part(shape, tuple(whole), whole, low=0.0, periodic=around),
                "burnt": Part(shape, tuple(whole), whole, low=0.0, high=1.0, periodic=around)}

    @property
    def symmetries(self) -> tuple[Moved, ...]:
        """Turns and mirrors of the square, and a shift by a pixel along each axis, of which all shifts are made."""
        return (*(Moved(turn) for turn in SQUARE), Moved(shift=(1, 0)), Moved(shift=(0, 1)))

    def draw(self, count: int, seed: int = 0, first: int = 0) -> dict[str, Tensor]:
        """Microstructures ``(count, n, n)`` of round voids that do not overlap, and loads ``(count,)``, in float64.

        On a square of 64 pixels 3 to 14 voids of radius 1.5 to 5, all uniform; on another as many per area.
        """
        drawn = [self._drawn(generator(seed, first + i)) for i in range(count)]
        solid = np.stack([image for image, _ in drawn]) if drawn else np.empty((0, self.n, self.n))
        return {"microstructure": torch.from_numpy(solid),
                "load": torch.tensor([load for _, load in drawn], dtype=torch.float64)}

    def _drawn(self, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        low, high = self.loads
        load, share = rng.uniform(low, high), (self.n / REFERENCE) ** 2
        wanted = max(round(share * rng.integers(VOIDS[0], VOIDS[1] + 1)), 1)
        voids: list[tuple[float, float, float]] = []
        solid, pixels = np.ones((self.n, self.n)), np.arange(self.n)
        for radius in rng.uniform(*RADII, wanted):
            for y, x in rng.uniform(0, self.n, (TRIES, 2)):
                if all(self._apart(y - b, x - a) > (radius + other) ** 2 for b, a, other in voids):
                    voids.append((y, x, radius))
                    solid[self._apart(y - pixels[:, None], x - pixels) < radius**2] = 0.0
                    break
        return solid, load

    def _apart(self, dy: np.ndarray | float, dx: np.ndarray | float) -> np.ndarray:
        """The square of the shortest way round."""
        around = [np.minimum(np.abs(d) % self.n, self.n - np.abs(d) % self.n) for d in (dy, dx)]
        return around[0] ** 2 + around[1] ** 2

    def start(self, microstructure: Tensor, load: Tensor) -> Tensor:
        """The temperature ``(*B, n, n)`` after the collapse."""
        check("microstructure", microstructure, self.n, self.n)
        wave = 2 * math.pi * torch.fft.fftfreq(self.n, device=microstructure.device, dtype=microstructure.dtype)
        square = wave[:, None] ** 2 + wave[: self.n // 2 + 1] ** 2
        modes = torch.fft.rfft2(1 - microstructure) * torch.exp(-(BLUR**2) / 2 * square)
        hot, load = torch.fft.irfft2(modes, (self.n, self.n)), load[..., None, None]
        return self.ambient + self.collapse * load * hot + EVEN * load

    def advance(self, temperature: Tensor, burnt: Tensor, microstructure: Tensor) -> tuple[Tensor, Tensor]:
        """Temperature and burnt share ``(*B, n, n)`` one frame later; differentiable."""
        step = self.frame / self.steps
        for _ in range(self.steps):
            first, spread = self.kinetics(temperature, microstructure), self.spread(temperature)
            near = temperature + step * spread - self.heat_release * (1 - burnt) * torch.expm1(-step * first)
            mean = (first + self.kinetics(near, microstructure)) / 2
            grown = -(1 - burnt) * torch.expm1(-step * mean)
            temperature = temperature + step / 2 * (spread + self.spread(near)) + self.heat_release * grown
            burnt = burnt + grown
        return temperature, burnt

    def kinetics(self, temperature: Tensor, microstructure: Tensor) -> Tensor:
        """The rate ``A m exp(-Ta / T)`` at which what is left burns."""
        return self.rate * microstructure * torch.exp(-self.activation / temperature)

    def spread(self, temperature: Tensor) -> Tensor:
        """What conduction and losses change, by the 5-point Laplacian."""
        around = sum(temperature.roll(side, axis) for side in (1, -1) for axis in (-2, -1))
        return self.diffusivity * (around - 4 * temperature) - self.loss * (temperature - self.ambient)

    def solve(self, microstructure: Tensor, load: Tensor) -> dict[str, Tensor]:
        """Temperature and burnt share ``(*B, frames, n, n)``; differentiable."""
        now, frames = (self.start(microstructure, load), torch.zeros_like(microstructure)), []
        for _ in range(self.frames):
            now = self.advance(*now, microstructure)
            frames.append(now)
        return {name: torch.stack(path, -3) for name, path in zip(("temperature", "burnt"), zip(*frames), strict=True)}

    def residual(self, microstructure: Tensor, load: Tensor, temperature: Tensor, burnt: Tensor) -> Tensor:
        """``(*B, 2 frames n^2)``: what each frame differs by from the map of the one before it.

        The norm of a row is the rms over the square, added in quadrature over fields and frames, times that of frames:
        rounding for a solution, about 1 where both are zero.
        """
        begun = self.start(microstructure, load)[..., None, :, :]
        before = [torch.cat([begun, temperature[..., :-1, :, :]], -3).clamp_min(self.ambient / 2),
                  torch.cat([torch.zeros_like(begun), burnt[..., :-1, :, :]], -3)]
        after = self.advance(*before, microstructure[..., None, :, :].expand_as(temperature))
        off = torch.stack([temperature - after[0], burnt - after[1]], -4).flatten(-4)
        return off / (2 * self.ambient * self.n * math.sqrt(self.frames))

    def read(self, stored: Stored) -> Mapping[str, HotSpots]:
        """With the file's frames, and its load's range as it is here."""
        found = replace(self, frame=stored.frame, frames=stored.frames, steps=max(round(4 * stored.frame), 1))
        return {f"frame = {stored.frame:.4g}": found}

    def judged(self, temperature: Tensor, burnt: Tensor, microstructure: Tensor) -> dict[str, Tensor]:
        """What is asked of a run, ``(*B)`` or by frame ``(*B, frames)``, from frames ``(*B, frames, n, n)``.

        ``burnt``: share of the solid that has burnt in the end; ``ignited``: whether that passes a tenth; and by frame
        the mean temperature ``mean``, the share of the square that is hotter than 1 (``area``), and the share in which
        a tenth to nine tenths have burnt (``front``).
        """
        solid = microstructure[..., None, :, :]
        burnt_share = (burnt * solid).mean((-2, -1)) / solid.mean((-2, -1))
        front = ((burnt > 0.1) & (burnt < 0.9)).to(burnt).mean((-2, -1))
        return {"burnt": burnt_share[..., -1], "ignited": burnt_share[..., -1] > ALIVE,
                "mean": temperature.mean((-2, -1)), "area": (temperature > HOT).to(burnt).mean((-2, -1)),
                "front": front}
