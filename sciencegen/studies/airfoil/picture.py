"""The picture of a design run: the best airfoils apart, their polars by Reynolds number, drag beside the baselines."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray
from matplotlib import pyplot
from torch import Tensor

from ...airfoil import cst
from ...airfoil.conditions import Point
from ...plot import COLORS, WIDTH, styled
from ...result import Result
from .prior import polars

__all__ = ["draw"]

COUNTS = 1e4
COLUMNS = 5  # outlines in a row
GREY, JUDGED, CONFIRMED = "0.45", "k", COLORS[3]  # of what is compared with, NeuralFoil's word, XFOIL's


@styled
def draw(result: Result, points: tuple[Point, ...], baselines: dict[str, xarray.Dataset],
         verified: xarray.Dataset | None, best: int = 10) -> tuple[Any, Any]:
    """A study's result; figure and the axes of the polars and of the objectives, never shown.

    Above the ``best`` outlines side by side, each with its number and its objective, in grey what the feasible designs
    span (5 to 95 %). Below the polars, a colour a Reynolds number, and the objective of all designs beside that of the
    ``baselines``, judged datasets by name, with the best number of each; what breaks a limit is hollow.
    """
    count = min(best, len(result))
    rows = -(-count // COLUMNS)
    figure = pyplot.figure(figsize=(WIDTH, 1.0 * rows + 5.6))
    above, below = figure.subfigures(2, 1, height_ratios=(1.0 * rows + 0.3, 5.3))
    shapes = torch.tensor(result.samples["shape"].values)
    _outlines(above, shapes, result, count)
    axes = below.subplots(2, 1, height_ratios=(3, 2))
    _polars(axes[0], shapes[:count], points, result.samples.isel(sample=slice(count)), verified)
    _objectives(axes[1], result, baselines, verified)
    return figure, axes


def _outlines(figure: Any, shapes: Tensor, result: Result, count: int) -> None:
    """The best outlines side by side over the span of all feasible ones."""
    axes = figure.subplots(-(-count // COLUMNS), COLUMNS, squeeze=False, sharex=True, sharey=True)
    feasible = shapes[torch.tensor(result.success)]
    x = cst.cosine(101, shapes)
    for number, axis in enumerate(axes.flat):
        axis.set_axis_off()
        if number >= count:
            continue
        if len(feasible):
            for side in cst.surfaces(feasible, x):
                axis.fill_between(x, *side.quantile(torch.tensor([0.05, 0.95], dtype=side.dtype), dim=0), color="0.8",
                                  lw=0)
        good = bool(result.success[number])
        axis.plot(*cst.outline(shapes[number: number + 1])[0].numpy().T, color=COLORS[0] if good else GREY, lw=1.2)
        axis.set_title(f"{number + 1}:  {COUNTS * result.fun[number]:.2f}{'' if good else ' (rejected)'}", pad=1)
    axes[0, 0].set(ylim=(-0.11, 0.14), xlim=(-0.02, 1.02))
    figure.suptitle("the best designs and their objective x 10⁴; thickness twice as large as it is", fontsize=10)
    for axis in axes.flat:
        axis.set_aspect(2.0)


def _polars(axis: Any, shapes: Tensor, points: tuple[Point, ...], at: xarray.Dataset, verified: xarray.Dataset | None
            ) -> None:
    """Lift over drag, a colour a Reynolds number: the best one thick, the others thin."""
    alpha, reynolds = torch.linspace(-5, 15, 41), sorted({point.reynolds for point in points}, reverse=True)
    for color, value in zip(np.resize(COLORS, len(reynolds)), reynolds):
        polar = polars(shapes, torch.full((len(shapes),), np.log10(value)), alpha)
        for i in reversed(range(len(shapes))):
            look = {"lw": 1.8, "label": f"Re {value:.3g}".replace("e+0", "e")} if i == 0 else {"lw": 0.4}
            axis.plot(COUNTS * polar[i, :, 1].exp(), polar[i, :, 0], color=color, **look)
    axis.scatter(COUNTS * at.cd.values, at.cl.values, s=12, color=JUDGED, zorder=4, label="NeuralFoil, asked for")
    if verified is not None and np.isfinite(verified.cd).any():
        axis.scatter(COUNTS * verified.cd.values, verified.cl.values, s=26, marker="x", color=CONFIRMED, zorder=5,
                     label="XFOIL")
    right, high, low = (2.2 * COUNTS * float(at.cd.max()), max(p.cl for p in points), min(p.cl for p in points))
    axis.set(xlim=(0.5 * COUNTS * float(at.cd.min()), right), ylim=(min(low - 0.3, 0.0), high + 0.45),
             xlabel="drag coefficient x 10⁴", ylabel="lift coefficient")
    axis.set_title("polars of these designs by NeuralFoil, the best one thick")
    axis.legend(loc="center right")


def _objectives(axis: Any, result: Result, baselines: dict[str, xarray.Dataset], verified: xarray.Dataset | None
                ) -> None:
    """The objective of all designs and of what they are compared with, a row each, with the best number."""
    rows, colors = [("designs", result.fun, result.success)], [JUDGED]
    if verified is not None and np.isfinite(verified.fun).any():
        rows.append(("designs, by XFOIL", verified.fun.values, np.isfinite(verified.fun.values)))
        colors.append(CONFIRMED)
    for name, data in baselines.items():
        fitted = f", fitted to {data.attrs['fit_rms']:.1g} chords" if "fit_rms" in data.attrs else ""
        rows.append((name + fitted, data.fun.values, data.feasible.values))
        colors.append(GREY)
    labels = []
    for row, (name, values, good) in enumerate(rows):
        seen = np.isfinite(values)
        jitter = np.random.default_rng(0).uniform(-0.2, 0.2, len(values))
        size, color = 40 if len(values) == 1 else 12, colors[row]
        for some, fill in ((seen & good, color), (seen & ~good, "none")):
            axis.scatter(COUNTS * values[some], row + jitter[some], s=size, facecolors=fill, edgecolors=color, lw=0.8)
        labels.append(f"{name}\n{_best(values, good)}")
    axis.set_yticks(range(len(rows)), labels)
    axis.set(xscale="log", ylim=(len(rows) - 0.5, -0.5), xlabel="objective x 10⁴ (logarithmic); hollow: breaks a limit")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(pyplot.NullFormatter())
    ends = COUNTS * np.concatenate([values[np.isfinite(values)] for _, values, _ in rows])
    axis.set_xticks(_ticks(ends.min(), ends.max()))


def _best(values: np.ndarray, good: np.ndarray) -> str:
    """The best number of a row, in words."""
    some = values[good & np.isfinite(values)]
    if len(some):
        return f"best {COUNTS * some.min():.2f}" if len(values) > 1 else f"{COUNTS * some[0]:.2f}"
    seen = values[np.isfinite(values)]
    return f"{COUNTS * seen.min():.2f}, breaks a limit" if len(seen) else "no number"


def _ticks(low: float, high: float) -> list[float]:
    """A few round numbers between two."""
    every = [m * 10.0**e for e in range(-2, 8) for m in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)]
    inside = [t for t in every if 0.9 * low <= t <= 1.1 * high]
    return inside[:: max(1, len(inside) // 8)]
