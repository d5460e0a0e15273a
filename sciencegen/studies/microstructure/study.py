r"""Microstructures of wanted properties: draw from a family, move to the goals, judge by the homogeniser.

1. *Draw.* States of the family's prior: white noise of level sets (:mod:`.level_set`), images of its generator
   (:mod:`.swayed`) or of a network that has learned it (:mod:`.patches`), which is led to the goals already.
2. *Settle.* Each state moves the shortest way, in the prior's own units, until its image meets the goals: Newton's
   method in what is asked for (:mod:`.newton`). All solves are of sharp images, so that nothing is lost by cutting.
   ``adam`` in its place is the floor (:mod:`.adam`).
3. *Solve.* The image, 0 and 1, is judged at a fine tolerance in 64 bits: conductivity, stiffness where a modulus is
   asked for, bounds that no material of its fraction can leave, and what it looks like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray
from torch import Tensor

from ...physics.bounds import conductivity_bounds, modulus_bounds, wiener
from ...physics.microstructure import connected, style_of
from ...random import spares
from ...result import Result
from ..ensemble import Ensemble
from ..stages import Adjust, Decode, Solve, Stage
from ..study import PICTURE, Study
from . import report
from .adam import descend
from .goals import MODULI, POISSON, Goals
from .level_set import LevelSets
from .newton import misses, newton
from .picture import draw
from .swayed import Swayed

__all__ = ["Draw", "MicrostructureStudy"]

Structures = LevelSets | Swayed

SOLVES = {False: 40, True: 48}  # at most, of a design: for conductivities, for moduli
SPARE = 1.25  # times as many are drawn as are asked for
CLOSE = {False: 0.01, True: 0.02}  # by which a goal may be missed: conductivities, moduli
NARROW = 0.12


@dataclass(frozen=True)
class Draw:
    """States of a family, more than are asked for."""

    structures: Structures
    goals: Goals
    more: float = SPARE
    improves: bool = field(default=False, init=False)

    def __call__(self, designs: Ensemble) -> Ensemble:
        seeds = spares(designs.seeds, int(self.more * designs.count))
        x, solves, calls = self.structures.begin(seeds, self.goals)
        row = lambda values: ("sample", values)
        samples = self.structures.layout.to_xarray(x).assign(
            fun=row(np.zeros(len(seeds))), seed=row(seeds.numpy()), reason=row(np.full(len(seeds), "", object)),
            solves=row(np.full(len(seeds), solves)))
        return replace(designs, samples=samples).paid({"network_calls": calls, "solves": solves * len(seeds)})


@dataclass(frozen=True)
class MicrostructureStudy(Study):
    """One question, "which structures of this family have these properties?", and everything to answer it with.

    A result has ``phase (sample, y, x)``, 0 and 1.

    Arguments:
        structures: the family, style and grid, and what images keep to.
        goals: what is asked for, and the phases.
        adam: move by Adam on soft images instead, the floor.
        solves: of the homogeniser, at most, for each design; None for the usual number.
        close: share of a goal by which it may be missed; None for 1 % of conductivities, 2 % of moduli.
    """

    structures: Structures
    goals: Goals = Goals()
    adam: bool = False
    solves: int | None = None
    close: float | None = None

    @property
    def numbers(self) -> int:
        goals = max(len(self.goals.wanted), 1)
        return int(SPARE * self.structures.layout.size * (2 + 2 * goals))

    @property
    def most(self) -> int:
        """Solves of a design, at most."""
        return self.solves or SOLVES[self.goals.elastic]

    @property
    def stages(self) -> Sequence[Stage]:
        moved = [Adjust(self._moved)] if self.goals.wanted else []
        return [Draw(self.structures, self.goals), *moved, Decode(self._cut, instead=True), Solve(self._judged)]

    def _moved(self, samples: xarray.Dataset) -> xarray.Dataset:
        """States that meet the goals, and the solves that each took."""
        x = self._states(samples)
        if self.adam:
            moved, solves = descend(x, self.structures.height, self.goals, self.most), torch.full((len(x),), self.most)
        else:
            moved, _, solves = newton(x, self.structures.phase, self.goals, self.most)
        every = samples["solves"].values + solves.numpy()
        found = self.structures.layout.to_xarray(moved).assign(solves=("sample", every))
        return found.assign_attrs(spent={"solves": int(solves.sum())})

    def _states(self, samples: xarray.Dataset) -> Tensor:
        layout = self.structures.layout
        return layout.pack(**{name: torch.tensor(samples[name].values) for name in layout.variables}).float()

    def _cut(self, samples: xarray.Dataset) -> xarray.Dataset:
        phase = self.structures.phase(self._states(samples), NARROW)
        ny, nx = phase.shape[-2:]
        return xarray.Dataset({"phase": (("sample", "y", "x"), phase.numpy().astype(np.int8)),
                               "solves": ("sample", samples["solves"].values.astype(int))},
                              {"y": np.arange(ny) + 0.5, "x": np.arange(nx) + 0.5})

    def _judged(self, samples: xarray.Dataset) -> xarray.Dataset:
        found = self.judge(torch.tensor(samples["phase"].values).double())
        return found.assign_attrs(spent={"solves": samples.sizes["sample"] * (1 + self.goals.elastic)})

    @torch.no_grad()
    def judge(self, phase: Tensor) -> xarray.Dataset:
        """What images ``(B, ny, nx)`` of 0 and 1 are worth: properties, bounds, descriptors, ``fun`` and ``reason``."""
        k, share = self.goals.conductivity(phase), phase.mean((-2, -1)).clamp(1e-6, 1 - 1e-6)
        shares = torch.stack([1 - share, share], -1)
        values = torch.tensor([1.0, self.goals.contrast]).double().expand_as(shares)
        ends = {"wiener": wiener(values, shares), "hashin_shtrikman": conductivity_bounds(values, shares)}
        looks = style_of(phase)
        found: dict[str, Any] = {
            "conductivity": (("sample", "axis"), torch.diagonal(k, dim1=-2, dim2=-1).numpy()),
            "conductivity_xy": ("sample", k[:, 0, 1].numpy()), "fraction": ("sample", phase.mean((-2, -1)).numpy()),
            **{name: (("sample", "bound"), torch.stack(pair, -1).numpy()) for name, pair in ends.items()},
            **{name: ("sample", getattr(looks, name).numpy()) for name in ("length", "angle", "aspect")},
            "connected": ("sample", connected(phase).numpy())}
        found |= self._stiff(phase, shares) if self.goals.elastic else {}
        reached = self._reached(found)
        ratio = reached / self.goals.target(reached)
        found["reached"] = (("sample", "goal"), reached.numpy())
        found["fun"] = ("sample", (misses(ratio) if self.goals.wanted else reached.new_zeros(len(phase))).numpy())
        found["reason"] = ("sample", self._reasons(ratio, phase))
        coords = {"axis": ["x", "y"], "bound": ["lower", "upper"], "goal": list(self.goals.wanted)}
        return xarray.Dataset(found, coords)

    def _stiff(self, phase: Tensor, shares: Tensor) -> dict[str, Any]:
        c = self.goals.stiffness(phase)
        young = torch.tensor([self.goals.void, 1.0]).double()
        shear, lame = young / 2 / (1 + POISSON), young * POISSON / (1 + POISSON) / (1 - 2 * POISSON)
        bulk = lame + shear
        low, high = (end[..., 0] for end in modulus_bounds(bulk.expand_as(shares), shear.expand_as(shares), shares))
        here = (c[:, 0, 0] + c[:, 1, 1] + 2 * c[:, 0, 1]) / 4
        return {"stiffness": (("sample", "row", "column"), c.numpy()), "bulk": ("sample", here.numpy()),
                "bulk_hashin_shtrikman": (("sample", "bound"), torch.stack([low, high], -1).numpy())}

    def _reached(self, found: Mapping[str, Any]) -> Tensor:
        """What is asked for as it is, ``(B, m)``."""
        k, c = (torch.as_tensor(found[name][1]) if name in found else None for name in ("conductivity", "stiffness"))
        each = {"kx": k[:, 0], "ky": k[:, 1], "fraction": torch.as_tensor(found["fraction"][1])}
        each |= {} if c is None else {name: c[:, i, j] for name, (i, j) in MODULI.items()}
        return torch.stack([each[name] for name in self.goals.wanted], -1) if self.goals.wanted else k[:, :0]

    def _reasons(self, ratio: Tensor, phase: Tensor) -> np.ndarray:
        close = self.close or CLOSE[self.goals.elastic]
        words = self.structures.limits.broken(phase)
        for i, name in enumerate(self.goals.wanted):
            off = ((ratio[:, i] - 1).abs() > close).numpy()
            words[off] = [f"{name} is {100 * abs(v - 1):.2g} % off" for v in ratio[off, i].tolist()]
        return words

    @property
    def labels(self) -> Mapping[str, tuple[str, str]]:
        return report.LABELS

    def row(self, sample: xarray.Dataset) -> dict[str, str]:
        return report.row(self, sample)

    def draw(self, result: Result) -> tuple[Any, Any]:
        return draw(self, result)

    def files(self, directory: Path, result: Result) -> None:
        super().files(directory, result)
        report.files(directory, result)

    def words(self, result: Result) -> str:
        return report.words(self, result)

    def judged(self, result: Result) -> Sequence[str]:
        return ["The package's own homogeniser judged the images, 0 and 1, in 64 bits at a fine tolerance; no other "
                "program."]

    def captions(self, result: Result) -> Mapping[str, str]:
        return {PICTURE: report.CAPTION, report.BEST: "The best design, one cell: phase 1 is white."}

    def seconds(self, count: int) -> float:
        pixels = self.structures.grid[0] * self.structures.grid[1] / 4096
        each = 0.012 * 15 + (0.1 * 40 if self.goals.elastic else 0)
        return 6 + SPARE * count * pixels * each

    def config(self) -> dict[str, object]:
        made = type(self.structures).__name__
        return super().config() | {"structures": {"made": made, "grid": list(self.structures.grid)}}
