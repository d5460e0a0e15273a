r"""R1: how likely is it that the largest value of a field exceeds a level eight frames ahead, once in 1,000 or 100,000?

Of the linear equation the law of those frames is Gaussian, and its tail is known by conditioning on a place where it is
exceeded:

.. math:: P(\max_x u_x > a) = \sum_x P(u_x > a) \; E\big[ 1 / \#\{y: u_y > a\} \,\big|\, u_x > a \big] ,

an estimate whose relative error does not grow in the tail: "Efficient Monte Carlo for High Excursions of Gaussian
Random Fields" (Adler, Blanchet & Liu, 2012), https://doi.org/10.1214/11-AAP792. Levels are chosen by it for each start.
The rows forecast with an objective: members go where it is exceeded, with weights.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray
from rich.table import Table
from torch import Tensor

import sciencegen as sg
from sciencegen.exact import Gaussian
from sciencegen.metrics import effective_size
from sciencegen.physics import AdvectionDiffusion
from sciencegen.states import States, gaussians
from sciencegen.symmetries import Shift

from ..common import whole
from .spde import HELD, paths

__all__ = ["answers", "exceeded", "level", "tables"]

CELLS, LENGTH, LEAD, PATHS = 64, 4, 8, 4096
RARE = (1e-3, 1e-5)
SYSTEM = AdvectionDiffusion(CELLS)
STEEP = 60.0  # weight of what is missing to the level, against |z|^2 / 2
LAYOUT = sg.Layout(u=sg.Variable((LENGTH, CELLS), dims=("time", "x")))


def exceeded(mean: Tensor, covariance: Tensor, a: float, draws: int, seed: int = 0) -> float:
    """``P(max u > a)`` of a Gaussian ``(n,)``, to about ``1 / sqrt(draws)``."""
    normal, generator = torch.distributions.Normal(0.0, 1.0), torch.Generator().manual_seed(seed)
    deviation = covariance.diagonal().sqrt()
    chances = torch.special.ndtr((mean - a) / deviation)
    place = torch.multinomial(chances, draws, replacement=True, generator=generator)
    share = 1 - chances[place] * (1 - torch.rand(draws, generator=generator, dtype=torch.float64))
    above = mean[place] + deviation[place] * normal.icdf(share)  # of the tail beyond the level
    field = mean + torch.randn(draws, len(mean), generator=generator, dtype=torch.float64) @ torch.linalg.cholesky(
        covariance).mT
    gain = covariance[place] / covariance.diagonal()[place, None]
    field = field + gain * (above - field.gather(1, place[:, None])[:, 0])[:, None]
    count = (field >= a - 1e-9).sum(1).clamp_min(1)
    return float(chances.sum() * (1 / count.double()).mean())


def level(mean: Tensor, covariance: Tensor, chance: float) -> tuple[float, float]:
    """The level that is exceeded so often, and how often exactly."""
    low, high = float(mean.max()), float(mean.max()) + 8 * float(covariance[0, 0].sqrt())
    for _ in range(18):
        a = (low + high) / 2
        low, high = (a, high) if exceeded(mean, covariance, a, 4000) > chance else (low, a)
    return a, exceeded(mean, covariance, a, 200_000, 1)


def exact() -> sg.Problem:
    """The exact law of a window."""
    chain = SYSTEM.linear()
    powers = [torch.linalg.matrix_power(chain.matrix, k) @ chain.covariance for k in range(LENGTH)]
    blocks = [[powers[i - j] if i >= j else powers[j - i].mT for j in range(LENGTH)] for i in range(LENGTH)]
    law = torch.cat([torch.cat(row, 1) for row in blocks])
    return sg.Problem(LAYOUT, Gaussian(torch.zeros(len(law), dtype=torch.float64), law))


def learned(trajectories: int, seed: int) -> sg.Problem:
    """The Gaussian of local dynamics of windows of so many trajectories of 40 frames."""
    values = paths(SYSTEM, trajectories, 40, seed).float().numpy()
    coords = {"time": SYSTEM.frame * np.arange(40), "x": np.asarray(SYSTEM.parts["a"].coords["x"])}
    states = States(xarray.Dataset({"u": (("sample", "time", "x"), values)}, coords), ["u"], length=LENGTH,
                    split=(1.0, 0.0, 0.0), symmetries=(Shift(("x",)),))
    return sg.Problem(states.layout, gaussians.local(states).double())


def answers(quick: bool, seed: int, out: Path) -> list[dict[str, Any]]:
    """All rows of a seed, for both chances."""
    starts, members = (2, 512) if quick else (6, PATHS)
    first = SYSTEM.draw(starts, HELD + 2)["a"]
    laws = [SYSTEM.forecast(start, LEAD) for start in first]
    found = []
    for chance in RARE:
        levels = [level(mean, covariance, chance) for mean, covariance in laws]
        rows = {"plain Monte Carlo, exact law": (exact(), False), "ours, exact prior": (exact(), True),
                "ours, learned from 100 trajectories": (learned(20 if quick else 100, seed), True),
                "plain Monte Carlo, the learned law": (learned(20 if quick else 100, seed), False)}
        for name, (problem, tilted) in rows.items():
            since = time.process_time()
            each = [row(problem, start, a, members, seed + 1, tilted) for start, (a, _) in zip(first, levels)]
            right = torch.tensor([p for _, p in levels], dtype=torch.float64)
            got, size = (torch.tensor(v, dtype=torch.float64) for v in zip(*each))
            found.append({"row": name, "seed": seed, "chance": chance, "found": got.tolist(), "exact": right.tolist(),
                          "error": float((got / right - 1).abs().mean()), "bias": float((got / right - 1).mean()),
                          "size": float(size.mean()), "paths": members, "seconds": time.process_time() - since})
    keep(out / f"rare.{seed}.nc", found)
    return found


def row(problem: sg.Problem, start: Tensor, a: float, members: int, seed: int, tilted: bool) -> tuple[float, float]:
    """The chance that was found, and the effective share of the paths that tell it."""
    missing = lambda u: (a - u[:, LEAD - 1].amax(-1)).clamp_min(0)
    more = {"objective": missing, "weight": STEEP} if tilted else {}
    made = sg.forecast(problem, start[None], LEAD, members, memory=1, progress=False,
                       seeds=torch.arange(members) + 2**30 * seed, **more)
    top = torch.as_tensor(made.frames["u"].values)[0, :, LEAD - 1].amax(-1)
    weights = torch.as_tensor(made.weights)[0].exp() * (top > a)
    size = float(effective_size(weights)) / members if bool(weights.any()) else 0.0
    return float(weights.mean()), size


def keep(path: Path, found: Sequence[dict[str, Any]]) -> None:
    """What each row found for each start, with the exact chances."""
    names = [f"{answer['row']}, {answer['chance']:g}" for answer in found]
    fields = {k: (("row", "start"), torch.tensor([answer[k] for answer in found]).numpy()) for k in ("found", "exact")}
    whole(path, lambda new: xarray.Dataset(fields, {"row": names}).to_netcdf(new))


def tables(found: Sequence[dict[str, Any]]) -> Iterator[Table]:
    """A table a chance, a line a row: mean relative error over starts and seeds."""
    for chance in dict.fromkeys(answer["chance"] for answer in found):
        made = Table(title=f"R1, {chance:g}: P(max u > a) {LEAD} frames ahead")
        for name in ("row", "relative error", "bias", "effective share of the paths", "paths", "CPU s a start", "n"):
            made.add_column(name, justify="left" if name == "row" else "right")
        here = [answer for answer in found if answer["chance"] == chance]
        for name in dict.fromkeys(answer["row"] for answer in here):
            several = [answer for answer in here if answer["row"] == name]
            mean = lambda key, several=several: sum(answer[key] for answer in several) / len(several)
            starts = sum(len(answer["found"]) for answer in several)
            made.add_row(name, f"{mean('error'):.3f}", f"{mean('bias'):+.3f}", f"{mean('size'):.3f}",
                         f"{several[0]['paths']:,}", f"{mean('seconds') * len(several) / starts:.2g}", str(starts))
        yield made
