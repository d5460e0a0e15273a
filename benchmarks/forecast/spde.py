r"""F1 and F5: linear stochastic advection-diffusion, of which forecasts are known exactly."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sciencegen import metrics
from sciencegen.physics.advection_diffusion import AdvectionDiffusion

from .task import Question, Task

__all__ = ["lasting", "linear"]

CELLS, HELD = 64, 2**20  # seeds of what is held out start there


def paths(system: AdvectionDiffusion, count: int, frames: int, seed: int) -> Tensor:
    """Trajectories ``(count, frames, n)`` of the stationary law, start included."""
    start = system.draw(count, seed)["a"]
    noise = torch.randn(count, frames - 1, system.n, generator=torch.Generator().manual_seed(seed), dtype=start.dtype)
    after = replace(system, frames=frames - 1).kicked(start, noise)
    return torch.cat([start[:, None], after], 1)


def expected(system: AdvectionDiffusion, start: Tensor, truth: Tensor, leads: tuple[int, ...]) -> dict[str, Tensor]:
    """CRPS ``(leads, starts)`` of the exact forecast by this truth, and its members' power ``(leads, starts, K + 1)``.

    The score of a normal law: "Calibrated Probabilistic Forecasting Using Ensemble Model Output Statistics and Minimum
    CRPS Estimation" (Gneiting et al., 2005), https://doi.org/10.1175/MWR2904.1.
    """
    crps, power = [], []
    for lead in leads:
        mean, cov = system.forecast(start, lead)
        spread = cov.diagonal().sqrt()
        z = (truth[:, lead - 1] - mean) / spread
        density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
        score = spread * (z * (2 * torch.special.ndtr(z) - 1) + 2 * density - 1 / math.sqrt(math.pi))
        factor, _, stationary = system.modes()
        own = system.multiplicity * stationary * (1 - factor.abs() ** (2 * lead))
        crps.append(score.mean(-1))
        power.append(metrics.spectrum(mean) + own)
    return {"crps": torch.stack(crps), "power": torch.stack(power)}


def cut(points: int) -> Any:
    """The exact transition on fewer points: what is finer is lost."""
    full, coarse = AdvectionDiffusion(CELLS), AdvectionDiffusion(points)

    def solver(start: Tensor, frames: int) -> Tensor:
        modes = torch.fft.rfft(start)
        modes[..., points // 2:] = 0
        start = torch.fft.irfft(modes, CELLS)
        kept = torch.zeros(CELLS // 2 + 1, dtype=torch.float64)
        kept[: coarse.n // 2] = 1
        now, found = start, []
        for _ in range(frames):
            now = full.advance(now) + full.coloured(full.modes().kick * kept, torch.randn_like(now))
            found.append(now)
        return torch.stack(found, -2)

    return solver


def linear(quick: bool, trajectories: int = 100, seconds: float = 100.0) -> Task:
    """F1: 100 trajectories of 40 frames; forecasts of 16 frames from an exact start."""
    system, starts = AdvectionDiffusion(CELLS), 8 if quick else 200
    held = paths(system, starts, 17, HELD)
    leads = (1, 4, 16)
    question = Question("forecast", held[:, None, :1], held[:, 1:], leads, 32,
                        expected(system, held[:, 0], held[:, 1:], leads))
    long = paths(system, 4 if quick else 16, 101 if quick else 1001, HELD + 1)
    questions = (question, Question("1,000 frames", long[:, None, :1], long[:, 1:], (), 1, judge=lasting),
                 Question("speed", long[:1, None, :1], long[:1, 1:65], (64,), 32))
    solvers = {"solver, half the points": cut(32), "solver, 3/8 of the points": cut(24), "exact": cut(CELLS)}
    name = "F1" if trajectories == 100 else f"F1 from {trajectories}"
    full = trajectories == 100
    return Task(name, f"linear SPDE, {trajectories} trajectories", paths(system, trajectories, 40, 0), system.frame,
                questions if full else (question,), seconds, 32, solvers=solvers, zoo="spde" if full else "")


def lasting(frames: Tensor) -> dict[str, float]:
    """F5: a roll-out ``(rows, frames, n)`` beside the stationary law: worst errors of covariance and lags.

    Covariance by distance in units of the variance; correlations of a pixel with itself 1 to 16 frames later.
    """
    system = AdvectionDiffusion(CELLS)
    field = frames.double()
    modes = torch.fft.rfft(field, norm="forward")
    power = modes.abs().square().mean((0, 1))
    factor, _, wanted = system.modes()
    row = torch.fft.irfft(power + 0j, CELLS, norm="forward")
    exact = torch.fft.irfft(wanted + 0j, CELLS, norm="forward")
    lags = []
    for lag in range(1, 17):
        found = (field[:, lag:] * field[:, :-lag]).mean() / field.square().mean()
        right = (system.multiplicity * wanted * (factor**lag).real).sum()
        lags.append(float(found - right))
    return {"covariance": float((row - exact).abs().max() / exact[0]), "variance": float(row[0] / exact[0]),
            "lags": max(lags, key=abs)}
