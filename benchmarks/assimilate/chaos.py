"""A3: the Kuramoto-Sivashinsky equation with 8 sensors of 64 cells, beside an ensemble filter with the true solver."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

import sciencegen as sg
from sciencegen import metrics
from sciencegen.physics.kuramoto_sivashinsky import KuramotoSivashinsky
from sciencegen.priors import Model

from .scoring import Case, frames_of, observed, over, scored, together

__all__ = ["chaotic"]

CELLS, FRAMES, EVERY, SENSORS, SHARE, HELD = 64, 200, 2, 8, 0.1, 2**20
SETTLED, AHEAD = 60, 40  # frames after which is scored; of forecast, 20 units of time
INFLATIONS = (1.0, 1.01, 1.02, 1.05, 1.1)


def chaotic(quick: bool, model: Model, members: int = 64) -> Iterator[dict[str, Any]]:
    """A row for the filter with the solver, for ours, and for interpolation."""
    system = KuramotoSivashinsky(CELLS)
    frames, count = (80, 2) if quick else (FRAMES, 4)
    pool = system.draw(members, 0)["a"]
    deviation = float(pool.std())
    tuning, cases = drawn(system, 2 if quick else 4, frames, deviation, 1), drawn(system, count, frames, deviation, 2)
    filtered = lambda inflation: lambda case, k: transformed(system, case, pool, inflation)
    error = {i: judged(filtered(i), tuning, deviation)["rmse"] for i in INFLATIONS}
    best = min(error, key=error.__getitem__)
    rows, task = {}, {"task": f"A3: Kuramoto-Sivashinsky, {SENSORS} sensors, every {EVERY} frames", "mode": "filter"}
    answers = {f"transform filter, true solver, inflation {best}": filtered(best),
               "ours": lambda case, k: ours(model, case, pool, "filter", k)}
    for name, answer in answers.items():
        rows[name] = judged(answer, cases, deviation)
        first = next(iter(rows.values()))
        yield {**task, "row": name, **rows[name], "rmse/filter": rows[name]["rmse"] / first["rmse"],
               "ahead/filter": rows[name]["ahead"] / first["ahead"]}
    smooth = over(cases, lambda case, k: ours(model, case, pool, "smooth", k)[0], SETTLED)
    yield {**task, "mode": "smooth", "row": "ours", **unit(smooth, deviation)}
    yield {**task, "row": "interpolation by Fourier's series", **unit(over(cases, interpolated, SETTLED), deviation)}


def judged(answer: Any, cases: list[Case], deviation: float) -> dict[str, Any]:
    """Scores of the analysis, and the CRPS of a forecast from its end."""
    found, since = [], time.process_time()
    for index, case in enumerate(cases):
        members, later = answer(case, index)
        row = scored(members, case.truth[: members.shape[1]], SETTLED)
        found.append(row | {"ahead": float(metrics.crps(later, case.truth[-1]).mean()) / deviation})
    return unit(together(found), deviation) | {"CPU s": time.process_time() - since}


def unit(row: dict[str, Any], deviation: float) -> dict[str, Any]:
    """In units of the deviation of the state."""
    return {k: v / deviation if k in ("rmse", "crps", "spread") else v for k, v in row.items()}


def drawn(system: KuramotoSivashinsky, count: int, frames: int, deviation: float, seed: int) -> list[Case]:
    """Trajectories, ``AHEAD`` frames longer than what is read."""
    now, draw, path = system.draw(count, HELD + seed)["a"], torch.Generator().manual_seed(seed), []
    for _ in range(frames + AHEAD):
        path.append(now)
        now = system.advance(now)
    truth, places = torch.stack(path, 1), range(0, CELLS, CELLS // SENSORS)
    seen = truth[:, :frames:EVERY, :: CELLS // SENSORS]
    seen = seen + SHARE * deviation * torch.randn(seen.shape, generator=draw, dtype=seen.dtype)
    return [Case(u, places, range(0, frames, EVERY), y, SHARE * deviation) for u, y in zip(truth, seen)]


def transformed(system: KuramotoSivashinsky, case: Case, pool: Tensor, inflation: float) -> tuple[Tensor, Tensor]:
    """The ensemble transform Kalman filter with the true solver: its members by frame, and those ``AHEAD`` later.

    "Efficient data assimilation for spatiotemporal chaos: A local ensemble transform Kalman filter" (Hunt, Kostelich &
    Szunyogh, 2007), https://doi.org/10.1016/j.physd.2006.11.008
    """
    now, count, found, seen = pool, len(pool), [], dict(zip(case.frames, case.values))
    for frame in range(len(case.truth) - AHEAD):
        now = system.advance(now) if frame else now
        if frame in seen:
            mean = now.mean(0)
            apart = inflation**0.5 * (now - mean)
            read = apart[:, list(case.sensors)] / case.noise
            values, axes = torch.linalg.eigh((count - 1) * torch.eye(count, dtype=now.dtype) + read @ read.mT)
            gap = (seen[frame] - mean[list(case.sensors)]) / case.noise
            weights = axes @ ((axes.mT @ (read @ gap)) / values)
            root = (axes * ((count - 1) / values).sqrt()) @ axes.mT
            now = mean + weights @ apart + root @ apart
        found.append(now)
    for _ in range(AHEAD):
        now = system.advance(now)
    return torch.stack(found, 1), now


def ours(model: Model, case: Case, pool: Tensor, mode: str, index: int) -> tuple[Tensor, Tensor]:
    """``sg.assimilate`` from the same first members, and its forecast from the end."""
    frames = len(case.truth) - AHEAD
    found = sg.assimilate(model, observed(case, model.layout), frames, len(pool), mode, AHEAD,
                          history=np.asarray(pool[:, None]), seeds=torch.arange(len(pool)) + 2**20 * (index + 1))
    members = frames_of(found)
    return members[:, :frames], members[:, -1]


def interpolated(case: Case, index: int) -> Tensor:
    """Between sensors by Fourier's series, between frames linearly; as two equal members."""
    modes = torch.fft.rfft(case.values, norm="forward")[:, : SENSORS // 2]
    fields = torch.fft.irfft(modes, CELLS, norm="forward").numpy()
    frames = np.arange(len(case.truth) - AHEAD)
    at = np.clip(frames / EVERY, 0, len(fields) - 1)
    low = np.minimum(at.astype(int), len(fields) - 2)
    share = (at - low)[:, None]
    path = torch.as_tensor((1 - share) * fields[low] + share * fields[low + 1])
    return path.expand(20, *path.shape)
