r"""F2: the Kuramoto-Sivashinsky equation on a length of 22, where two trajectories part by e in 20 units of time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sciencegen.physics.kuramoto_sivashinsky import KuramotoSivashinsky

from .task import Question, Task

__all__ = ["chaotic"]

CELLS, HELD = 64, 2**20


def coarse(points: int, **more: Any) -> Any:
    """The solver on fewer points, its frames interpolated by Fourier's series."""
    system = KuramotoSivashinsky(points, **more)

    def solver(start: Tensor, frames: int) -> Tensor:
        now, found = resampled(start, points), []
        for _ in range(frames):
            now = system.advance(now)
            found.append(resampled(now, CELLS))
        return torch.stack(found, -2)

    return solver


def resampled(field: Tensor, points: int) -> Tensor:
    """A periodic field ``(*B, n)`` on other ``points``."""
    modes = torch.fft.rfft(field, norm="forward")
    kept = min(points, field.shape[-1]) // 2
    return torch.fft.irfft(modes[..., :kept], points, norm="forward")


def chaotic(quick: bool, seconds: float = 100.0) -> Task:
    """F2: 128 trajectories of 240 frames; ensembles from starts with an error of 1 % and 10 %, and roll-outs."""
    system = KuramotoSivashinsky(CELLS)
    starts, many, horizon, long = (4, 8, 40, 100) if quick else (32, 64, 80, 2000)
    truth = path(system, many, max(horizon, long), HELD)
    deviation = float(truth.std())
    questions = [_ensemble(truth[:starts], share, deviation, horizon) for share in (0.01, 0.1)]
    ahead = min(long, 400)
    questions.append(Question("roll-out", truth[:, None, :1], truth[:, 1: ahead + 1], (), 1))
    lasting = min(starts, 16)
    questions.append(Question("2,000 frames", truth[:lasting, None, :1], truth[:lasting, 1: long + 1], (), 1))
    solvers = {"solver, half the points": coarse(32), "solver, 3/8 of the points": coarse(24),
               "perfect model": coarse(CELLS)}
    train = path(system, 8 if quick else 128, 239, 0)
    train = torch.cat([train, -train.flip(-1)])  # the equation's mirror images
    return Task("F2", "Kuramoto-Sivashinsky, length 22", train, system.frame, tuple(questions), seconds, 64, 2,
                solvers=solvers, zoo="ks")


def path(system: KuramotoSivashinsky, count: int, frames: int, seed: int) -> Tensor:
    """States on the attractor and what follows, ``(count, frames + 1, n)``."""
    now = system.draw(count, seed)["a"]
    found = [now]
    for _ in range(frames):
        now = system.advance(now)
        found.append(now)
    return torch.stack(found, 1)


def _ensemble(truth: Tensor, share: float, deviation: float, horizon: int, members: int = 20) -> Question:
    """Starts that were seen with an error, and members about what was seen with errors of the same size."""
    random = torch.Generator().manual_seed(int(1000 * share))
    white = lambda *shape: share * deviation * torch.randn(*shape, generator=random, dtype=truth.dtype)
    seen = truth[:, 0] + white(*truth[:, 0].shape)
    starts = seen[:, None] + white(len(truth), members, CELLS)
    return Question(f"start error {100 * share:.0f} %", starts[:, :, None], truth[:, 1: horizon + 1],
                    (10, 20, 40, 80) if horizon >= 80 else (10, 20, 40), members)
