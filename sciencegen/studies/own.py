"""Design with anybody's trained prior: an objective and constraints of its parts, from a Python file.

Guidance is in units of what the prior expects: the objective is divided by its standard deviation over states of the
prior's Gaussian, so that a strength means the same for any objective (:func:`sciencegen.tasks.design` takes it as a
weight, an inverse temperature).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..priors import Model
from ..result import Result
from ..sample import Multistep, karras
from ..tasks import Problem, design
from .runs import Report, write_run
from .study import PICTURE, keep
from .tables import Table

__all__ = ["report", "solve", "spread", "table", "trial", "write"]

ABOVE = 10.0  # the first noise level over the largest standard deviation of the prior
LOW = 0.02
PROBES = 64
SHOWN = 10
JUDGED = ("The objective and the constraints themselves judged the designs, on what the prior imagines; no solver "
          "confirmed them. Have the best ones solved before you rely on them.")
NO_CARD = "The prior's record does not say how good its network is."


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
                  Multistep(karras(steps, max(LOW, prior.lowest), max(high, 10 * LOW))), count, None, constraints,
                  torch.arange(count) + seed * 2**20, device=device)


def table(result: Result) -> Table:
    """The best designs: objective, each constraint's value, and whether all are met."""
    rows = []
    for i in range(min(SHOWN, len(result))):
        kept = {str(name): f"{float(value[i]):.3g}" for name, value in result.data.data_vars.items()}
        rows.append({"#": str(i + 1), "objective": f"{result.fun[i]:.6g}", **kept,
                     "feasible": _verdict(result, i)})
    return Table(f"{int(result.success.sum())} of {len(result)} designs are feasible; the best {len(rows)}", rows,
                 "constraints are met where they are at most 0, up to their tolerance" if len(result.data) else "")


def _verdict(result: Result, i: int) -> str:
    if result.success[i]:
        return "yes"
    missed = [str(name) for name, value in result.data.data_vars.items() if float(value[i]) > 0]
    return "no: diverged" if not np.isfinite(result.fun[i]) else f"no: {', '.join(missed)}" if missed else "no"


def report(model: Model, result: Result) -> Report:
    """All that is said of a result."""
    good = int(result.success.sum())
    warnings = [] if good else ["No design meets all constraints."]
    warnings += [] if model.training.get("better") else [str(model.training.get("verdict") or NO_CARD)]
    return Report(f"Design by a trained prior: {good} of {len(result)} designs feasible", (table(result),),
                  [f"{result.nfev:,} network calls"], [JUDGED], warnings, {PICTURE: "The best designs."})


def write(directory: Path, model: Model, result: Result, asked: Mapping[str, Any], overwrite: bool = False
          ) -> list[str]:
    """Write result.nc, designs.png, config.json and report.html, as a whole; the names of the files."""

    def files(folder: Path) -> None:
        result.save(folder / "result.nc")
        keep(result.plot()[0], folder / PICTURE)

    return write_run(directory, report(model, result), asked, files, result.config, result.message, False, overwrite)
