"""The picture of an inverse problem: truth, data, mean and spread of each field, and how well the data are met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray
from matplotlib import pyplot

from ..metrics.misfit import likely
from .style import COLORS, WIDTH, cell_edges, key, named, picked, places, room, shape, styled

__all__ = ["posterior"]

TIMES = 4  # columns of a field in time
Row = list[tuple[str, xarray.DataArray | None, xarray.Dataset, str]]  # of each panel: kind, field, data, title


@styled
def posterior(statistics: xarray.Dataset, data: xarray.Dataset, truth: xarray.Dataset) -> tuple[Any, Any]:
    """Truth (if known), data, mean and standard deviation, a row a variable; figure and axes ``(rows, columns)``.

    Of a field of more than two axes a column is an entry of its first one (a time), those with the most sensors among
    them, with the sensors of that time on the mean; a row each is truth, mean and standard deviation. A variable
    without axes is left out. The last axes of the figure, where ``data`` has the samples' ``misfit``, show how well
    they meet the readings, and between which bounds noise alone makes that likely.

    Arguments:
        statistics: each variable over the dim ``statistic``: mean, spread, lower, upper.
        data: see :class:`sciencegen.result.Result`.
    """
    names = [name for name, value in statistics.data_vars.items() if value.ndim > 1]
    plans = {name: _plan(statistics[name], _of(data, name), truth[name] if len(truth) else None) for name in names}
    rows = [(name, row) for name, plan in plans.items() for row in plan]
    columns = max(len(row) for _, row in rows)
    heights = [2.0 if statistics[name].ndim == 2 else room(_shape(statistics[name]), columns) for name, _ in rows]
    height, more = sum(heights), 1.2 * ("misfit" in data)
    figure = pyplot.figure(figsize=(WIDTH, height + more + 0.3))
    fields, *rest = figure.subfigures(2, 1, height_ratios=(height, more)) if more else [figure]
    axes = fields.subplots(len(rows), columns, squeeze=False, height_ratios=heights)
    for line, (name, row) in zip(axes, rows):
        (_curves if statistics[name].ndim == 2 else _maps)(line, row, statistics[name], _scale(plans[name]))
        for axis in line[len(row):]:
            axis.set_axis_off()
    if rest:
        _misfit(rest[0].subplots(), data)
    return figure, axes


def _of(data: xarray.Dataset, name: object) -> xarray.Dataset:
    """What was read of a variable."""
    return data.isel(measurement=data.variable.values == name) if "variable" in data else data.isel(measurement=[])


def _plan(value: xarray.DataArray, data: xarray.Dataset, truth: xarray.DataArray | None) -> list[Row]:
    """The rows of panels of one variable."""
    kinds = {"truth": truth, "mean": value.sel(statistic="mean"), "spread": value.sel(statistic="spread")}
    name, nothing = str(value.name), data.isel(measurement=[])
    if value.ndim <= 3:
        row: Row = [("truth", truth, nothing, f"{name}: truth")] if truth is not None else []
        row += [("data", None, data, f"{name}: data"), ("mean", kinds["mean"], nothing, f"{name}: mean"),
                ("spread", kinds["spread"], nothing, f"{name}: std")]
        return [row]
    first, others = value.dims[1], dict.fromkeys(value.dims[2:-2], 0)
    entries, near = _entries(value, data, first)
    rows = []
    for kind, field in kinds.items():
        if field is not None:
            panels = [(kind, field.isel({first: i, **others}), data.isel(measurement=near == i) if kind == "mean" else
                       nothing, picked(value, value.dims, {first: i, **others})) for i in entries]
            word = {"spread": "std"}.get(kind, kind)
            rows.append([(*panels[0][:3], f"{name}: {word}\n{panels[0][3]}"), *panels[1:]])
    return rows


def _entries(value: xarray.DataArray, data: xarray.Dataset, dim: Any) -> tuple[np.ndarray, np.ndarray]:
    """Which entries of an axis to show, and which one each reading is of (-1: no place along it)."""
    axis, count = places(value, dim), value.sizes[dim]
    even = np.unique(np.linspace(0, count - 1, TIMES).round().astype(int))
    if dim not in data or not data.sizes["measurement"]:
        return even, np.full(data.sizes["measurement"], -1)
    near = np.abs(data[dim].values[:, None] - axis).argmin(1)
    read = np.bincount(near, minlength=count)
    most = np.argsort(-read, kind="stable")[:TIMES]
    chosen = [i for i in most if read[i]]
    return np.sort([*chosen, *[i for i in even if i not in chosen][: TIMES - len(chosen)]]).astype(int), near


def _scale(rows: Sequence[Row]) -> Mapping[str, tuple[float, float]]:
    """Least and most of the mean and the truth together, and of the spread."""
    shown = [(kind, field) for row in rows for kind, field, _, _ in row if field is not None]
    ends = {k: [f for kind, f in shown if (kind == "spread") == (k == "spread")] for k in ("mean", "spread")}
    low, high = (getattr(np, f"nan{end}")([getattr(f, end)() for f in ends["mean"]]) for end in ("min", "max"))
    return {"mean": (float(low), float(high)), "spread": (0.0, float(max(f.max() for f in ends["spread"])) or 1.0)}


def _curves(line: Any, row: Row, value: xarray.DataArray, scale: Mapping[str, tuple[float, float]]) -> None:
    """One variable over its one axis."""
    dim = value.dims[-1]
    x, truth = places(value, dim), next((field for kind, field, _, _ in row if kind == "truth"), None)
    data = next(data for kind, _, data, _ in row if kind == "data")
    for axis, (kind, field, _, title) in zip(line, row):
        if kind in ("truth", "mean") and truth is not None:
            axis.plot(x, truth, "k--" if kind == "mean" else "k-", linewidth=1.2, label="truth")
        if kind in ("data", "mean"):
            axis.errorbar(data.get(dim, np.arange(0)), data.value, yerr=data.noise, fmt=".", color=COLORS[1], capsize=2)
        if kind == "mean":
            band = (value.sel(statistic=end) for end in ("lower", "upper"))
            axis.fill_between(x, *band, alpha=0.3, linewidth=0, label="90 %")
            axis.plot(x, field, label="mean", color=COLORS[0])
            axis.legend()
        if kind == "spread":
            axis.plot(x, field)
            axis.set_ylim(bottom=0)
        axis.set(title=title, xlabel=_label(value, dim), xlim=(float(x[0]), float(x[-1])))
    line[0].set_ylabel(named(value, ""))
    shared = [axis for axis, (kind, *_) in zip(line, row) if kind != "spread"]
    low, high = zip(*(axis.get_ylim() for axis, (kind, *_) in zip(line, row) if kind in ("truth", "mean")))
    for axis in shared:
        axis.set_ylim(min(low), max(high))


def _maps(line: Any, row: Row, value: xarray.DataArray, scale: Mapping[str, tuple[float, float]]) -> None:
    """One variable over its last two axes: the first of them along x, the second along y."""
    across, up = value.dims[-2:]
    grid = [places(value, d) for d in (across, up)]
    for number, (axis, (kind, field, data, title)) in enumerate(zip(line, row)):
        colors = "magma" if kind == "spread" else "viridis"
        low, high = scale["spread" if kind == "spread" else "mean"]
        look = {"vmin": low, "vmax": high, "cmap": colors}
        if field is not None:
            shown = axis.pcolormesh(*grid, field.values.T, shading="nearest", **look)
        if data.sizes["measurement"]:
            where = [data.get(d, np.arange(0)) for d in (across, up)]
            rim = "w" if field is not None else "0.3"
            axis.scatter(*where, c=data.value, s=22, edgecolors=rim, linewidths=0.7, **look)
        elif kind == "data":
            axis.text(0.5, 0.5, "not measured", transform=axis.transAxes, ha="center", va="center", color="0.4")
        axis.set(title=title, xlabel=_label(value, across), xlim=cell_edges(grid[0]), ylim=cell_edges(grid[1]))
        axis.set_box_aspect(_shape(value))
        axis.set_facecolor("0.93")
        if kind != "data" and (number == len(row) - 1 or row[number + 1][0] != kind and kind == "mean"):
            key(axis, shown, named(value, ""))
    line[0].set_ylabel(_label(value, up))


def _shape(value: xarray.DataArray) -> float:
    return shape(*(places(value, dim) for dim in value.dims[-2:]))


def _label(value: xarray.DataArray, dim: Any) -> str:
    return named(value[dim], str(dim)) if dim in value.coords else str(dim)


def _misfit(axis: Any, data: xarray.Dataset) -> None:
    """How well each sample meets the readings, and between which bounds noise alone makes that likely."""
    values, count = np.sort(data.misfit.values[np.isfinite(data.misfit.values)]), data.sizes["measurement"]
    axis.axvspan(*likely(count), color=COLORS[2], alpha=0.2, lw=0, label=f"likely of {count} readings")
    axis.plot(values, (np.arange(len(values)) + 0.5) / max(len(values), 1), ".", label="samples")
    if "truth" in data.misfit.attrs:
        axis.axvline(data.misfit.attrs["truth"], color="k", ls="--", lw=1.2, label="truth")
    axis.set(xlabel="misfit of the readings, in units of their noise", ylabel="share", ylim=(0, 1), xlim=(0, None))
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
