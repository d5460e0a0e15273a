"""What is said of a posterior: tables of misfit, residual and scores, who judged it; and its directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...io.write import save
from ...metrics.misfit import likely
from ...observations import Observations
from ...priors import Model
from ...result import Result
from ..runs import Report, write_run
from ..study import keep
from ..tables import Table

__all__ = ["report", "tables", "write"]

PICTURE = "posterior.png"
FEW = 0.9  # of the samples that explain the readings: one in a thousand does not by chance
JUDGED = ("Misfit: each sample's readings against the data, in units of their noise, by the measurement itself.",
          "Residual: each sample in the equation, by the package's own discretisation; no other program was asked.")
SHOWN = ("The posterior beside the data{truth}: mean and standard deviation of {count} samples, and how far the "
         "samples miss the readings, in units of the noise.")


def tables(result: Result) -> list[Table]:
    """Misfit and residual over the samples; and, where the truth is known, error and coverage of each part."""
    explained = f"{int(result.success.sum())} of them explain the readings"
    bounds = "{:.2f} to {:.2f}".format(*likely(result.data.sizes["measurement"]))
    rows = [_spread(words, result.data[name], range) for name, words, range in (
        ("misfit", "misfit, over noise", bounds), ("residual", "residual", "")) if name in result.data]
    shown = Table(f"{len(result)} samples of the posterior; {explained}", rows)
    if not len(result.truth) or len(result) < 2:
        return [shown]
    level = min(0.9, 1 - 2 / (len(result) + 1))  # the widest interval that so few samples have
    scored = []
    for name, value in result.scores(level=level).data_vars.items():
        error, sample, crps, coverage = value.values
        scored.append({"": str(name), "error of the mean": f"{100 * error:.2f} %",
                       "error of a sample": f"{100 * sample:.2f} %", "CRPS": f"{crps:.3g}",
                       f"coverage of {100 * level:.0f} % intervals": f"{100 * coverage:.1f} %"})
    return [shown, Table("against the truth", scored)]


def report(model: Model, result: Result) -> Report:
    """All that is said of a posterior."""
    good = int(result.success.sum())
    warnings = [] if good > FEW * len(result) else [result.message]
    warnings += [] if model.training.get("better", True) else [str(model.training.get("verdict", ""))]
    known = ", the truth" if len(result.truth) else ""
    readings = result.data.sizes["measurement"]
    return Report(f"Inverse problem: {good} of {len(result)} samples explain {readings} readings",
                  tables(result), [result.message, f"{result.nfev:,} network calls"],
                  JUDGED if "residual" in result.data else JUDGED[:1], warnings,
                  {PICTURE: SHOWN.format(truth=known, count=len(result))})


def write(directory: Path, model: Model, result: Result, asked: Mapping[str, Any],
          observations: Observations | None = None, overwrite: bool = False) -> list[str]:
    """Write a run directory as a whole; the names of its files.

    ``asked`` is what the command was asked. ``observations`` are written too, where they are given.
    """

    def files(folder: Path) -> None:
        result.save(folder / "result.nc")
        save(result.posterior(), folder / "posterior.nc")
        keep(result.plot()[0], folder / PICTURE)
        if observations is not None:
            observations.save(folder / "observations.h5")

    return write_run(directory, report(model, result), asked, files, result.config, result.message, False, overwrite)


def _spread(words: str, value: Any, likely: str) -> dict[str, str]:
    """A row: quantiles over the samples, and the sizes of the truth and of nothing."""
    numbers = [*np.nanquantile(value, (0.05, 0.5, 0.95)), value.attrs.get("truth", np.nan), value.attrs["zero"]]
    cells = [f"{v:.3g}" if np.isfinite(v) else "-" for v in numbers]
    return dict(zip(("", "5 %", "median", "95 %", "truth", "of zero", "likely"), (words, *cells, likely)))
