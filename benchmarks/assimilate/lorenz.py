r"""A2: Lorenz' system of 1963 as score-based data assimilation has it, beside backward simulation with the equations.

The first number is read: ``lo`` every 8th frame to 0.05, ``hi`` every frame to 0.25. "Score-based Data Assimilation"
(Rozet & Louppe, 2023), https://arxiv.org/abs/2306.10574. The referee knows dynamics and kicks: a particle filter with
the optimal proposal, and backward simulation, "Monte Carlo smoothing for nonlinear time series" (Godsill, Doucet &
West, 2004), https://doi.org/10.1198/016214504000000151; a filter's own paths have few ancestors in the past.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import sciencegen as sg
from sciencegen.physics.lorenz import Lorenz63
from sciencegen.priors import Model, Recipe
from sciencegen.random import Streams
from sciencegen.tasks.particles import Particles
from sciencegen.tasks.sweeps import Kalman
from sciencegen.train.recipe import Packed
from sciencegen.train.schedule import Levels

from .scoring import Case, frames_of, observed, over

__all__ = ["lorenz", "prior"]

FRAMES, WINDOW, HELD, BURN = 65, 5, 2**20, 100
SETTINGS = {"lo": (8, 0.05), "hi": (1, 0.25)}


def lorenz(quick: bool, out: Path, members: int = 256) -> Iterator[dict[str, Any]]:
    """A row for each setting: the referee, another run of it, and ours by each method."""
    model = prior(out, 200 if quick else 4000)
    pool = paths(100 if quick else 1000, 20, 7).flatten(0, 1)
    count = 1 if quick else 3
    for name, (every, noise) in SETTINGS.items():
        cases = list(drawn(count, every, noise))
        row = {"task": f"A2: Lorenz 1963, {name}", "mode": "smooth"}
        referee = over(cases, lambda case, k: backward(case, pool, members, k))
        yield {**row, "row": "backward simulation with the equations", **referee}
        rows = {"ours, particles": Particles(), "ours, Kalman": Kalman()}
        for title, method in rows.items():
            ask = partial(asked, model, method, members)
            found = over(cases, ask)
            yield {**row, "row": title, **found, "rmse/exact": found["rmse"] / referee["rmse"],
                   "crps/exact": found["crps"] / referee["crps"]}


def asked(model: Model, method: Any, members: int, case: Case, index: int) -> Tensor:
    """Ours, of a case."""
    count = members if isinstance(method, Particles) else 4 * members
    found = sg.assimilate(model, observed(case, model.layout), FRAMES, count, method=method, memory=1,
                          seeds=torch.arange(count) + 2**20 * (index + 1))
    return frames_of(found)


def paths(count: int, frames: int, seed: int) -> Tensor:
    """Kicked trajectories ``(count, frames, 3)``, on their law."""
    system = Lorenz63(frames=frames + BURN)
    noise = Streams(torch.arange(count) + seed * 2**24).normal((frames + BURN) * 3).reshape(count, frames + BURN, 3)
    return system.kicked(system.draw(count, seed)["a"], noise)[:, BURN:]


def prior(out: Path, steps: int) -> Model:
    """A network of windows, trained on 800 trajectories of 1,024 frames; from ``out`` where it was trained before."""
    if (out / "lorenz" / "model" / "config.json").is_file():
        return Model.load(out / "lorenz" / "model")
    u = paths(820, 1024, 0)
    loc, scale = u.flatten(0, 1).mean(0), u.flatten(0, 1).std(0)
    coords = {"time": Lorenz63().frame * np.arange(WINDOW), "variable": np.arange(3.0)}
    layout = sg.Layout(u=sg.Variable((WINDOW, 3), loc[None], scale[None], ("time", "variable"), coords=coords))
    rows = ((u - loc) / scale).float().unfold(1, WINDOW, 1).mT.flatten(2)
    first = rows[:780, ::3].flatten(0, 1)
    order = torch.randperm(len(first), generator=torch.Generator().manual_seed(0))
    data = Packed(layout, first[order].contiguous(), rows[780:800, ::50].flatten(0, 1), rows[800:, ::50].flatten(0, 1))
    how = sg.Training(net=Recipe("sciencegen.nets.mlp.MLP", {"size": layout.size, "width": 128, "depth": 4}),
                      gaussian=sg.Gaussian.fit(first[:50000]), given=((("u", 1),),), steps=steps, batch=512,
                      levels=Levels(1e-3, 80.0, 0.1, 2.5), shares=(0.15, 0.85), gated=False, every=500)
    return sg.train(data, how, out / "lorenz")


def drawn(count: int, every: int, noise: float) -> Iterator[Case]:
    """Trajectories and their readings."""
    draw = torch.Generator().manual_seed(HELD + every)
    for truth in paths(count, FRAMES, HELD):
        seen = truth[::every, :1]
        yield Case(truth, (0,), range(0, FRAMES, every),
                   seen + noise * torch.randn(seen.shape, generator=draw, dtype=seen.dtype), noise)


def backward(case: Case, pool: Tensor, members: int, seed: int, count: int = 4096) -> Tensor:
    """Backward simulation that knows the equations, ``(M, T, 3)``."""
    system, draw = replace(Lorenz63(), frames=1), torch.Generator().manual_seed(seed)
    white = lambda *shape: torch.randn(*shape, generator=draw, dtype=torch.float64)
    pick = lambda logs: torch.multinomial(torch.softmax(logs, 0), count, True, generator=draw)
    kick, seen = system.noise**2 * system.frame, dict(zip(case.frames, case.values[:, 0]))
    x = pool[torch.randint(len(pool), (20 * count,), generator=draw)]
    x = x[pick(-(seen[0] - x[:, 0]).square() / (2 * case.noise**2))]
    past = [x]
    for frame in range(1, len(case.truth)):
        mean = system.advance(x)
        if frame in seen:
            wide = kick + case.noise**2
            mean = mean[pick(-(seen[frame] - mean[:, 0]).square() / (2 * wide))]
            x = mean + kick**0.5 * white(count, 3)
            gain = kick / wide
            x[:, 0] = mean[:, 0] + gain * (seen[frame] - mean[:, 0]) + (kick * (1 - gain)) ** 0.5 * white(count)
        else:
            x = mean + kick**0.5 * white(count, 3)
        past.append(x)
    path = [past[-1][torch.randint(count, (members,), generator=draw)]]
    for before in reversed(past[:-1]):
        mean = system.advance(before)
        logs = -torch.cdist(path[-1], mean).square() / (2 * kick)
        path.append(before[torch.multinomial(torch.softmax(logs, -1), 1, generator=draw)[:, 0]])
    return torch.stack(path[::-1], 1)
