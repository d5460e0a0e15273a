"""A design run of flights as a directory, and as a table for a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from matplotlib import pyplot
from rich.table import Table

from ...files import replacing
from ...result import Result
from .picture import draw
from .study import Study

__all__ = ["table", "write"]


def table(result: Result, best: int = 10) -> Table:
    """The best designs, a row each, for a terminal."""
    shown = Table(title=f"{int(result.success.sum())} of {len(result)} designs feasible; the best {best}; "
                        f"mean objective of all {np.mean(result.fun):.4f}")
    for name in ("#", "objective", "imagined", "rms speed", "feasible"):
        shown.add_column(name, justify="right")
    for i in range(min(best, len(result))):
        flight, imagined = (result.samples[k].values[i] for k in ("trajectory", "imagined"))
        shown.add_row(str(i + 1), f"{result.fun[i]:.4f}", f"{_spread(imagined):.4f}",
                      f"{np.sqrt((flight[0, :, 2:] ** 2).sum(-1).mean()):.3f}", "yes" if result.success[i] else "no")
    return shown


def write(directory: Path, result: Result, study: Study) -> list[Path]:
    """Write ``result.nc``, ``designs.png`` and ``config.json``, each whole or not at all; their paths."""
    made = [result.save(directory / "result.nc"), directory / "designs.png", directory / "config.json"]
    figure, _ = draw(result.samples, study.system)
    with replacing(made[1]) as new:
        figure.savefig(new, dpi=110, format="png")
    pyplot.close(figure)
    with replacing(made[2]) as new:
        new.write_text(json.dumps(result.config, indent=2))
    return made


def _spread(flight: np.ndarray) -> float:
    return float(np.linalg.norm(flight[-1, :, :2] - 0.5, axis=-1).mean())
