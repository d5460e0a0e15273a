"""What a posterior says in a terminal and on the disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot
from rich.table import Table

from ...io.write import save
from ...observations import Observations
from ...result import Result
from ..directory import RECORD, written_whole
from .judge import likely

__all__ = ["tables", "write"]


def tables(result: Result) -> list[Table]:
    """Misfit and residual over the samples; and, where the truth is known, error and coverage of each part."""
    explained = f"{int(result.success.sum())} of them explain the readings"
    shown = Table(title=f"{len(result)} samples of the posterior; {explained}")
    for name in ("", "5 %", "median", "95 %", "truth", "of zero", "likely"):
        shown.add_column(name, justify="right" if name else "left")
    bounds = "{:.2f} to {:.2f}".format(*likely(result.data.sizes["measurement"]))
    for name, words, range in (("misfit", "misfit, over noise", bounds),
                               ("residual", "residual", "")):
        if name in result.data:
            value = result.data[name]
            spread = np.nanquantile(value, (0.05, 0.5, 0.95))
            beside = (value.attrs.get("truth", np.nan), value.attrs["zero"])
            shown.add_row(words, *(f"{v:.3g}" if np.isfinite(v) else "-" for v in (*spread, *beside)), range)
    if not len(result.truth) or len(result) < 2:
        return [shown]
    level = min(0.9, 1 - 2 / (len(result) + 1))  # the widest interval that so few samples have
    scores = result.scores(level=level)
    scored = Table(title="against the truth")
    for name in ("", "error of the mean", "error of a sample", "CRPS", f"coverage of {100 * level:.0f} % intervals"):
        scored.add_column(name, justify="right" if name else "left")
    for name, value in scores.data_vars.items():
        error, sample, crps, coverage = value.values
        scored.add_row(name, f"{100 * error:.2f} %", f"{100 * sample:.2f} %", f"{crps:.3g}", f"{100 * coverage:.1f} %")
    return [shown, scored]


def write(directory: Path, result: Result, asked: Mapping[str, Any], observations: Observations | None = None,
          overwrite: bool = False) -> list[str]:
    """Write a run directory as a whole; the names of its files.

    ``asked`` is what the command was asked; config.json has it beside how the samples were made. ``observations`` are
    written too, where they are given.
    """
    with written_whole(directory, overwrite) as new:
        result.save(new / "result.nc")
        save(result.posterior(), new / "posterior.nc")
        figure, _ = result.plot()
        figure.savefig(new / "posterior.png", dpi=110, format="png")
        pyplot.close(figure)
        if observations is not None:
            observations.save(new / "observations.h5")
        made = sorted([RECORD, *(p.name for p in new.iterdir())])
        record = {**asked, "status": "finished", "message": result.message, "files": made, "made": result.config}
        (new / RECORD).write_text(json.dumps(record, indent=2))
    return made
