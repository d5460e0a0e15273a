"""Design with anybody's trained prior: an objective and constraints of its parts, from a Python file.

Guidance is in units of what the prior expects: the objective is divided by its standard deviation over states of the
prior's Gaussian, so that a strength means the same for any objective (:func:`sciencegen.tasks.design` takes it as a
weight, an inverse temperature).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import pyplot
from rich.table import Table
from torch import Tensor

from ..priors import Model
from ..result import Result
from ..sample import Multistep, karras
from ..tasks import Problem, design
from .directory import RECORD, written_whole

__all__ = ["solve", "spread", "table", "trial", "write"]

ABOVE = 10.0  # the first noise level over the largest standard deviation of the prior
LOW = 0.02
PROBES = 64
SHOWN = 10


def trial(model: Model, count: int = 2) -> dict[str, Tensor]:
    """Parts of ``count`` states of the prior's Gaussian, in physical units, as an objective will see them."""
    gaussian = model.energy.gaussian()
    noise = torch.randn(count, gaussian.variances.expand_as(gaussian.modes(gaussian.center)).numel(),
                        generator=torch.Generator().manual_seed(0)).to(gaussian.center)
    return model.layout.unpack(gaussian.center + gaussian.back(gaussian.variances.sqrt() * noise))


def spread(model: Model, objective: Callable[..., Tensor]) -> float:
    """The standard deviation of an objective over states of the prior's Gaussian; ValueError if it has none."""
    with torch.no_grad():
        found = float(objective(**trial(model, PROBES)).double().std())
    if not 0 < found < float("inf"):
        raise ValueError(f"got an objective whose standard deviation is {found:g} over {PROBES} states of the prior; "
                         "expected one that differs and is finite")
    return found


def solve(model: Model, objective: Callable[..., Tensor], constraints: Sequence[Callable[..., Tensor]] = (),
          strength: float = 3.0, count: int = 16, seed: int = 0, steps: int = 32, device: str = "cpu") -> Result:
    """Samples of the prior, tilted to a low objective under ``constraint(**parts) <= 0``, feasible and best first.

    Arguments:
        strength: of the objective, in its standard deviations over the prior.
        steps: of the sampler.
    """
    prior = model.energy.requires_grad_(False)
    high = ABOVE * float(prior.gaussian().variances.max()) ** 0.5
    return design(Problem(model.layout, prior), objective, strength / spread(model, objective),
                  Multistep(karras(steps, LOW, max(high, 10 * LOW))), count, None, constraints,
                  torch.arange(count) + seed * 2**20, device=device)


def table(result: Result) -> Table:
    """The best designs: objective, and whether all constraints are met."""
    made = Table(title=f"{int(result.success.sum())} of {len(result)} designs are feasible; {result.message}")
    for name in ("", "objective", "feasible"):
        made.add_column(name, justify="right")
    for k, (fun, good) in enumerate(zip(result.fun[:SHOWN], result.success[:SHOWN]), 1):
        made.add_row(str(k), f"{fun:.6g}", "yes" if good else "no")
    return made


def write(directory: Path, result: Result, asked: Mapping[str, Any], overwrite: bool = False) -> list[str]:
    """Write result.nc, designs.nc (the samples by themselves), designs.png and config.json, as a whole."""
    with written_whole(directory, overwrite) as new:
        result.save(new / "result.nc")
        labels = {"objective": ("sample", result.fun), "feasible": ("sample", np.asarray(result.success, np.int8))}
        result.samples.assign_coords(labels).to_netcdf(new / "designs.nc", engine="h5netcdf")
        figure, _ = result.plot()
        figure.savefig(new / "designs.png", dpi=110, format="png")
        pyplot.close(figure)
        made = sorted([RECORD, *(p.name for p in new.iterdir())])
        record = {**asked, "status": "finished", "message": result.message, "files": made, "made": result.config}
        (new / RECORD).write_text(json.dumps(record, indent=2))
    return made
