"""The picture of a design run: outlines, polars, the spread of the samples, and drag beside the baselines."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray
from matplotlib import pyplot
from torch import Tensor

from ...airfoil import cst
from ...airfoil.conditions import Point
from ...result import Result
from .prior import polars

__all__ = ["draw"]

COUNTS = 1e4


def draw(result: Result, points: tuple[Point, ...], baselines: dict[str, xarray.Dataset],
         verified: xarray.Dataset | None, best: int = 10) -> tuple[Any, Any]:
    """Four panels of a study's result; ``baselines`` are judged datasets by name; figure and axes, never shown."""
    figure, axes = pyplot.subplots(2, 2, figsize=(12, 7.2), layout="constrained")
    shapes = torch.tensor(result.samples["shape"].values)
    colors = pyplot.cm.viridis(np.linspace(0, 0.85, best))
    _outlines(axes[0, 0], shapes[:best], colors)
    _spread(axes[1, 0], shapes[torch.tensor(result.success)])
    _polars(axes[0, 1], shapes[:best], points, colors, result.samples.isel(sample=slice(best)), verified)
    _drags(axes[1, 1], result, baselines, verified)
    return figure, axes


def _outlines(axes: Any, shapes: Tensor, colors: np.ndarray) -> None:
    lines = cst.outline(shapes).numpy()
    for i in reversed(range(len(lines))):
        axes.plot(*lines[i].T, color=colors[i], lw=2 if i == 0 else 0.9, zorder=3 if i == 0 else 2)
    axes.fill(*lines[0].T, color=colors[0], alpha=0.15)
    axes.set(aspect=2.0, title=f"the {len(shapes)} best designs (the best is filled)", xlabel="x / chord",
             ylabel="y / chord (x 2)")


def _spread(axes: Any, shapes: Tensor) -> None:
    if not len(shapes):
        axes.set(title="no feasible design")
        return
    x = cst.cosine(101, shapes)
    upper, lower = cst.surfaces(shapes, x)
    for side, color in ((upper, "tab:blue"), (lower, "tab:orange")):
        low, middle, high = side.quantile(torch.tensor([0.05, 0.5, 0.95], dtype=side.dtype), dim=0)
        axes.fill_between(x, low, high, alpha=0.3, color=color, lw=0)
        axes.plot(x, middle, color=color)
    axes.set(aspect=2.0, title=f"spread of {len(shapes)} feasible designs (median, 90 % band)", xlabel="x / chord",
             ylabel="y / chord (x 2)")


def _polars(axes: Any, shapes: Tensor, points: tuple[Point, ...], colors: np.ndarray, at: xarray.Dataset,
            verified: xarray.Dataset | None) -> None:
    alpha = torch.linspace(-5, 15, 41)
    for k, point in enumerate(points):
        polar = polars(shapes, torch.full((len(shapes),), np.log10(point.reynolds)), alpha)
        for i in reversed(range(len(shapes))):
            axes.plot(COUNTS * polar[i, :, 1].exp(), polar[i, :, 0], color=colors[i], lw=1.2 if i == 0 else 0.5)
        axes.axhline(point.cl, color="0.8", lw=0.8, zorder=0)
        axes.annotate(str(point), (0.99, point.cl), xycoords=("axes fraction", "data"), ha="right", va="bottom",
                      fontsize=8)
    axes.scatter(COUNTS * at.cd.values, at.cl.values, s=14, color="k", zorder=4, label="NeuralFoil at the points")
    if verified is not None and np.isfinite(verified.cd).any():
        axes.scatter(COUNTS * verified.cd.values, verified.cl.values, s=26, marker="x", color="tab:red", zorder=5,
                     label="XFOIL")
    top = COUNTS * float(at.cd.max())
    axes.set(xlim=(0.5 * COUNTS * float(at.cd.min()), 1.8 * top), title="polars of the best designs",
             xlabel="drag, counts", ylabel="lift coefficient")
    axes.legend(frameon=False, fontsize=8, loc="upper left")


def _drags(axes: Any, result: Result, baselines: dict[str, xarray.Dataset], verified: xarray.Dataset | None) -> None:
    groups = {"designs": COUNTS * result.fun[result.success]}
    groups |= {name: COUNTS * data.fun.values[data.feasible.values] for name, data in baselines.items()}
    if verified is not None and np.isfinite(verified.fun).any():
        groups = {"designs, XFOIL": COUNTS * verified.fun.values[np.isfinite(verified.fun.values)]} | groups
    for row, (name, values) in enumerate(groups.items()):
        jitter = np.random.default_rng(0).uniform(-0.25, 0.25, len(values))
        axes.scatter(values, row + jitter, s=12, alpha=0.7)
    finite = np.concatenate([v[np.isfinite(v)] for v in groups.values()])
    if len(finite):
        axes.set_xlim(0.95 * finite.min(), 1.05 * np.quantile(finite, 0.95))
    rms = {name: data.attrs["fit_rms"] for name, data in baselines.items() if "fit_rms" in data.attrs}
    fitted = {name: f"\nfitted to {value:.1g} chords" for name, value in rms.items()}
    axes.set_yticks(range(len(groups)), [f"{k} ({len(v)}){fitted.get(k, '')}" for k, v in groups.items()])
    axes.set(title="objective of the feasible ones", xlabel="objective x 10⁴ (drag counts for the default)")
