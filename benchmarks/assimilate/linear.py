"""A1: the linear stochastic equation, of which filter and smoother are known exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray
from torch import Tensor

import sciencegen as sg
from sciencegen.physics.advection_diffusion import AdvectionDiffusion
from sciencegen.states import spectral
from sciencegen.symmetries import Shift

from .scoring import Case, frames_of, observed, over

__all__ = ["linear"]

CELLS, FRAMES, WINDOW, HELD = 64, 64, 8, 2**20
SETTINGS = ((8, 0.1, 1), (8, 0.1, 4), (4, 0.5, 1))  # sensors, noise, frames from one to the next that is read


def linear(quick: bool, members: int = 256) -> Iterator[dict[str, Any]]:
    """A row for each setting, mode and prior."""
    system = AdvectionDiffusion(CELLS)
    layout = sg.Layout(u=sg.Variable((WINDOW, CELLS), dims=("time", "x"), coords={
        "time": system.frame * np.arange(WINDOW), "x": np.asarray(system.parts["u"].coords["x"], float)}))
    priors = {"ours, exact prior": sg.Problem(layout, exact(system)),
              "ours, Gaussian of 100 trajectories": learned(system, layout, 100)}
    for sensors, noise, every in SETTINGS:
        cases = list(drawn(system, 1 if quick else 4, sensors, noise, every))
        for mode in ("smooth", "filter"):
            row = {"task": f"A1: {sensors} sensors, noise {noise}, every {every}", "mode": mode}
            referee = over(cases, partial(exactly, system, mode, members))
            yield {**row, "row": "exact", **referee}
            for name, problem in priors.items():
                found = over(cases, partial(asked, problem, mode, members))
                yield {**row, "row": name, **found, "rmse/exact": found["rmse"] / referee["rmse"],
                       "crps/exact": found["crps"] / referee["crps"]}


def asked(problem: sg.Problem, mode: str, members: int, case: Case, index: int) -> Tensor:
    """Ours, of a case."""
    return frames_of(sg.assimilate(problem, observed(case, problem.layout), FRAMES, members, mode,
                                   seeds=torch.arange(members) + 2**20 * (index + 1)))


def exact(system: AdvectionDiffusion) -> sg.Gaussian:
    """The law of a window."""
    model = system.linear()
    cov = torch.zeros(WINDOW, CELLS, WINDOW, CELLS, dtype=torch.float64)
    for s in range(WINDOW):
        across = model.covariance
        for t in range(s, WINDOW):
            cov[t, :, s], cov[s, :, t] = across, across.mT
            across = model.matrix @ across
    cov = cov.reshape(WINDOW * CELLS, -1)
    return sg.Gaussian(torch.zeros(len(cov), dtype=torch.float64), (cov + cov.mT) / 2)


def learned(system: AdvectionDiffusion, layout: sg.Layout, count: int) -> sg.Problem:
    """What the road's Gaussian by wave number knows of trajectories of 40 frames."""
    data = xarray.Dataset({"u": (("sample", "time", "x"), paths(system, count, 40, 0).float().numpy())}, {
        "time": system.frame * np.arange(40), "x": layout.variables["u"].coords["x"]})
    states = sg.States(data, ["u"], WINDOW, symmetries=(Shift(("x",)),), split=(1.0, 0.0, 0.0))
    return sg.Problem(states.layout, spectral(states, ("x",), WINDOW * CELLS - 1))


def paths(system: AdvectionDiffusion, count: int, frames: int, seed: int) -> Tensor:
    """Trajectories ``(count, frames, n)`` of the stationary law, start included."""
    start = system.draw(count, seed)["a"]
    noise = torch.randn(count, frames - 1, system.n, generator=torch.Generator().manual_seed(seed), dtype=start.dtype)
    return torch.cat([start[:, None], replace(system, frames=frames - 1).kicked(start, noise)], 1)


def drawn(system: AdvectionDiffusion, count: int, sensors: int, noise: float, every: int) -> Iterator[Case]:
    """Trajectories and their readings."""
    frames, places = range(0, FRAMES, every), range(0, CELLS, CELLS // sensors)
    draw = torch.Generator().manual_seed(HELD)
    for truth in paths(system, count, FRAMES, HELD):
        seen = truth[::every, :: CELLS // sensors]
        seen = seen + noise * torch.randn(seen.shape, generator=draw, dtype=seen.dtype)
        yield Case(truth, places, frames, seen, noise)


def exactly(system: AdvectionDiffusion, mode: str, members: int, case: Case, seed: int) -> Tensor:
    """Independent draws of each frame's exact law, enough for the scores of single numbers; ``(M, T, n)``.

    Their mean is the exact one: only spread and CRPS need the draws.
    """
    model = system.linear()
    reads = torch.eye(CELLS, dtype=torch.float64)[list(case.sensors)]
    beliefs = model.filter(reads, case.noise, case.values, case.frames, FRAMES)
    beliefs = model.smooth(beliefs) if mode == "smooth" else beliefs
    spread = beliefs.covariance.diagonal(dim1=-2, dim2=-1).sqrt()
    draw = torch.Generator().manual_seed(seed)
    half = torch.randn(members // 2, *spread.shape, generator=draw, dtype=torch.float64)
    return beliefs.mean + spread * torch.cat([half, -half])
