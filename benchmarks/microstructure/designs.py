"""Rows of the tables of designs: what each makes of the same goals by as many solves of the homogeniser, at most.

Images are judged at a fine tolerance in 64 bits; an error is that of the worse goal of an image of 0 and 1.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray
from torch import Tensor

from sciencegen.physics.microstructure import FAMILIES, Style
from sciencegen.studies.microstructure.adam import descend
from sciencegen.studies.microstructure.goals import ROUGH, Goals
from sciencegen.studies.microstructure.images import Limits, cut, pieces
from sciencegen.studies.microstructure.level_set import LevelSets
from sciencegen.studies.microstructure.newton import misses, newton
from sciencegen.studies.microstructure.swayed import Grown

from ..common import whole
from .looks import apart, worst

__all__ = ["SOLVES", "Made", "families", "lattices", "level_sets"]

SOLVES, TRIES, SIDE = 60, 8, 64
LENGTH, FRACTIONS = 4.0, {"grains": 0.5, "discs": 0.3, "spinodal": 0.5}
STUDY = Goals({"kx": 4.0, "ky": 2.2})
CELLS = Goals({"C11": 0.35, "C12": 0.09, "C66": 0.08})
NARROW = 0.12


@dataclass(frozen=True)
class Made:
    """Images of a row ``(B, ny, nx)``, the worse error of each ``(B,)`` and all ``(B, m)``, solves and seconds."""

    phase: Tensor
    error: Tensor
    each: Tensor
    solves: float
    seconds: float

    def row(self) -> dict[str, float]:
        """Errors in percent."""
        return {"median error, %": 100 * float(self.error.median()), "worst, %": 100 * float(self.error.max()),
                "solves": self.solves, "seconds a design": self.seconds / len(self.phase)}


def made(goals: Goals, target: Tensor, way: Callable[[], tuple[Tensor, float]]) -> Made:
    """The row that ``way`` makes: images, and the solves of each."""
    start = time.process_time()
    phase, solves = way()
    spent = time.process_time() - start
    ratio = goals.of(phase.double()) / target.double()
    return Made(phase, misses(ratio), (ratio - 1).abs(), solves, spent)


def level_sets(count: int) -> dict[str, dict[str, float]]:
    """Level sets of one style, all of the same conductivities along x and y."""
    structures = LevelSets((SIDE, SIDE), _style(0.5))
    start, target = structures.draw(torch.arange(count)), STUDY.target(torch.zeros(0))
    image = lambda x: structures.phase(x, NARROW).detach()
    pool = image(structures.draw(torch.arange(SOLVES) + 2**30))
    value = misses(STUDY.of(pool, ROUGH) / target)

    def newton() -> tuple[Tensor, float]:
        found = newton(start, structures.phase, STUDY, SOLVES)
        return image(found.x), float(found.solves.double().mean())

    rows = {
        "samples of the family": made(STUDY, target, lambda: (image(start), 0)),
        f"best of {SOLVES}": made(STUDY, target, lambda: (pool[value.argmin()][None], SOLVES)),
        "level set + Adam": made(STUDY, target, lambda: (image(descend(start, structures.height, STUDY, SOLVES)),
                                                         SOLVES)),
        "ours": made(STUDY, target, newton)}
    prior = apart(image(start))
    return {name: row.row() | {"diversity over the prior's": apart(row.phase) / prior if len(row.phase) > 1 else np.nan}
            for name, row in rows.items()}


def families(family: str, count: int, file: Path) -> dict[str, dict[str, float | str]]:
    """Images of a family; each design is asked for the conductivities of another image of it. ``file`` keeps them."""
    goals, style = Goals({"kx": 2.0, "ky": 2.0}), _style(FRACTIONS[family])
    draw = lambda n, seed: FAMILIES[family].draw(style[torch.zeros(n, dtype=torch.long)], (SIDE, SIDE), seed)
    truth, reference, floor = draw(count, 1), draw(2 * count, 2), draw(count, 3)
    target, pool = goals.of(truth, ROUGH), draw(max(4 * count, SOLVES), 4)
    value, order = goals.of(pool, ROUGH), np.random.default_rng(0)
    tried = lambda n: torch.from_numpy(np.stack([order.choice(len(pool), n, replace=False) for _ in truth]))
    grown, flat = Grown((SIDE, SIDE), style, family), lambda phase: (2 * phase - 1).flatten(1)

    def nearest(n: int) -> Tensor:
        some = tried(n)
        return pool[some[torch.arange(count), misses(value[some] / target[:, None]).argmin(1)]]

    def ours() -> tuple[Tensor, float]:
        base = flat(nearest(TRIES))
        found = newton(torch.cat([torch.zeros_like(base), base], -1), grown.phase, goals, SOLVES - TRIES,
                       target=target)
        return grown.phase(found.x, NARROW).detach(), TRIES + float(found.solves.double().mean())

    def pixels() -> tuple[Tensor, float]:
        height = lambda x: x.unflatten(-1, (SIDE, SIDE))
        return cut(height(descend(flat(nearest(1)), height, goals, SOLVES, target)), NARROW), SOLVES

    def level_set() -> tuple[Tensor, float]:
        wrong = LevelSets((SIDE, SIDE), style, loose=False)
        found = newton(wrong.draw(torch.arange(count)), wrong.phase, goals, SOLVES, target=target)
        return wrong.phase(found.x, NARROW).detach(), float(found.solves.double().mean())

    rows = {"held-out images": made(goals, goals.of(floor.double()), lambda: (floor, 0)),
            f"best of {SOLVES}": made(goals, target, lambda: (nearest(SOLVES), SOLVES)),
            "Adam on pixels": made(goals, target, pixels), "Newton on a level set": made(goals, target, level_set),
            "ours, generator": made(goals, target, ours)}
    table: dict[str, dict[str, float | str]] = {}
    for name, row in rows.items():
        distance, which = worst(row.phase, reference)
        table[name] = row.row() | {"largest KS": distance, "of": which}
    kept = {name: (("sample", "y", "x"), row.phase.numpy().astype(np.int8)) for name, row in rows.items()}
    kept["reference"] = (("image", "y", "x"), reference.numpy().astype(np.int8))
    whole(file, xarray.Dataset(kept).to_netcdf)
    return table


def lattices(count: int, solves: int = SOLVES) -> dict[str, dict[str, float]]:
    """Cells with voids of wanted stiffness, all in one piece."""
    structures = LevelSets((SIDE, SIDE), _style(0.5), limits=Limits(connected=True))
    start, target = structures.draw(torch.arange(count)), CELLS.target(torch.zeros(0))
    image = lambda x: structures.phase(x, NARROW).detach()

    def newton() -> tuple[Tensor, float]:
        found = newton(start, structures.phase, CELLS, solves)
        return image(found.x), float(found.solves.double().mean())

    adam = lambda: (image(descend(start, structures.height, CELLS, solves)), solves)
    rows = {"samples of the family": made(CELLS, target, lambda: (image(start), 0)),
            "level set + Adam": made(CELLS, target, adam), "ours": made(CELLS, target, newton)}
    each = lambda row: {f"{name}, %": 100 * float(e) for name, e in zip(CELLS.wanted, row.each.median(0).values)}
    one = lambda row: sum(pieces(p.numpy())[1] == 1 for p in row.phase) / len(row.phase)
    return {name: each(row) | row.row() | {"in one piece": one(row)} for name, row in rows.items()}


def _style(fraction: float) -> Style:
    return Style(torch.tensor([LENGTH]), 0.0, 1.0, fraction)
