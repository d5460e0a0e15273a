"""What is learned from and what is asked: simulated runs, and the windows of them in which something happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray
from torch import Tensor

from sciencegen.physics import HotSpots
from sciencegen.states import States

from ..common import whole

__all__ = ["FRAME", "PARTS", "Cases", "Question", "windows"]

FRAME, FRAMES, STEPS, CELLS = 3.0, 40, 12, 64  # a run of 480 steps
PARTS = ("temperature", "burnt", "microstructure", "load")
LENGTH, EACH, QUIET = 3, 5, 0.3  # frames of a window, windows of a run, and their chance where nothing happens
BATCH = 20
Runs = Mapping[str, Tensor]


@dataclass(frozen=True)
class Cases:
    """Runs of the solver from drawn microstructures, with a range of loads."""

    count: int
    seed: int
    low: float = 0.35
    high: float = 1.0

    @property
    def system(self) -> HotSpots:
        """The solver."""
        return HotSpots(CELLS, loads=(self.low, self.high), frame=FRAME, frames=FRAMES, steps=STEPS)

    def runs(self, first: int, count: int) -> dict[str, Tensor]:
        """Frames ``(count, 41, n, n)`` from the start on, with what was given."""
        given = {name: value.float() for name, value in self.system.draw(count, self.seed, first).items()}
        with torch.no_grad():
            later, start = self.system.solve(**given), self.system.start(**given)[:, None]
        return {"temperature": torch.cat([start, later["temperature"]], 1),
                "burnt": torch.cat([torch.zeros_like(start), later["burnt"]], 1), **given}

    def all(self) -> dict[str, Tensor]:
        """All runs, some at a time."""
        found = [self.runs(i, min(BATCH, self.count - i)) for i in range(0, self.count, BATCH)]
        return {name: torch.cat([part[name] for part in found]) for name in PARTS}


@dataclass(frozen=True)
class Question:
    """What rows learn from, and the sets of runs that they are asked about, by name."""

    name: str
    train: Cases
    tests: Mapping[str, tuple[Cases, ...]]

    def asked(self, name: str, out: Path) -> Runs:
        """The runs of a set, with what happened. Made once, and kept."""
        file = out / f"{name.replace(' ', '_')}.pt"
        if not file.is_file():
            found = [cases.all() for cases in self.tests[name]]
            joined = {part: torch.cat([runs[part] for runs in found]) for part in PARTS}
            whole(file, lambda new: torch.save(joined, new))
        return torch.load(file, weights_only=True)

    def states(self, out: Path, parts: tuple[str, ...] = PARTS) -> States:
        """Windows to learn from; those of the last tenth of the runs are for validation. Made once, and kept."""
        file = out / "windows.nc"
        if not file.is_file():
            made = windows(self.train)
            whole(file, lambda new: made.to_netcdf(new, engine="h5netcdf"))
        data = xarray.load_dataset(file, engine="h5netcdf")
        last = max(data.sizes["sample"] // 10 // EACH, 1) * EACH
        rows = np.arange(data.sizes["sample"])
        return States(data, list(parts), split=(rows[:-last].tolist(), rows[-last:].tolist(), []))


def windows(cases: Cases) -> xarray.Dataset:
    """A few windows of three frames of each run, the likelier the more its fields change in them."""
    random, rows = np.random.default_rng(cases.seed), []
    for first in range(0, cases.count, BATCH):
        runs = cases.runs(first, min(BATCH, cases.count - first))
        change = sum((v[:, LENGTH - 1:] - v[:, :1 - LENGTH]).square().mean((-2, -1)).sqrt()
                     for v in (runs["temperature"], runs["burnt"]))
        for run, moved in enumerate((change + QUIET * change.mean()).double().numpy()):
            for start in random.choice(len(moved), EACH, replace=False, p=moved / moved.sum()):
                rows.append({name: v[run, start:start + LENGTH] if v.ndim == 4 else v[run] for name, v in runs.items()})
    dims = {4: ("sample", "time", "y", "x"), 3: ("sample", "y", "x"), 1: ("sample",)}
    stacked = {name: torch.stack([row[name] for row in rows]).numpy() for name in PARTS}
    return xarray.Dataset({name: (dims[v.ndim], v) for name, v in stacked.items()},
                          {"time": FRAME * np.arange(LENGTH), "y": np.arange(CELLS), "x": np.arange(CELLS)})
