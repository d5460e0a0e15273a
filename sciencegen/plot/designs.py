"""The picture of designs from any prior: the fields of the best ones, what their numbers are, and their objective."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray
from matplotlib import pyplot

from .style import COLORS, WIDTH, cell_edges, key, named, picked, places, room, shape, styled

__all__ = ["designs"]

COLUMNS, NUMBERS = 4, 3  # panels in a row, and parts without axes that are shown
GOOD, BAD, BEST = COLORS[0], "0.6", COLORS[1]


@styled
def designs(samples: xarray.Dataset, fun: np.ndarray, success: np.ndarray) -> tuple[Any, Any]:
    """Designs ``samples`` over the dim ``sample``, best first; figure and axes ``(rows, 4)``.

    A row a part: a field over two axes as maps of the three best and the standard deviation of the feasible ones (all,
    where none is), one over more axes as four frames of the best; a curve as the best ones over the band of the rest.
    Last the objective and the parts that are numbers, feasible ones in colour.
    """
    fields = [v for v in samples.data_vars.values() if v.ndim > 1 and v.dtype.kind in "fiu"]
    numbers = [v for v in samples.data_vars.values() if v.ndim == 1 and v.dtype.kind in "fiu"][:NUMBERS]
    heights = [1.8 if field.ndim == 2 else room(_shape(field), COLUMNS) for field in fields] + [2.2]
    figure, axes = pyplot.subplots(len(heights), COLUMNS, squeeze=False, figsize=(WIDTH, sum(heights) + 0.4),
                                   height_ratios=heights)
    chosen = np.nonzero(success)[0] if success.any() else np.arange(len(fun))
    for row, field in zip(axes, fields):
        (_curves if field.ndim == 2 else _maps if field.ndim == 3 else _frames)(row, field, chosen)
    _values(axes[-1, 0], fun, success, "objective")
    for axis, number in zip(axes[-1, 1:], numbers):
        _values(axis, number.values, success, named(number, str(number.name)))
    for axis in axes[-1, 1 + len(numbers):]:
        axis.set_axis_off()
    marks, words = axes[-1, 0].get_legend_handles_labels()
    figure.legend(marks, words, loc="outside lower center", ncols=3, handletextpad=0.1,
                  title=f"{int(success.sum())} of {len(fun)} designs feasible")
    return figure, axes


def _curves(row: Any, field: xarray.DataArray, chosen: np.ndarray) -> None:
    """One wide panel: the best in colour over the 90 % band of the feasible ones."""
    grid = row[0].get_gridspec()
    for axis in row[1:]:
        axis.remove()
    (axis, dim), x = (row[0], field.dims[-1]), places(field, field.dims[-1])
    start = row[0].get_subplotspec().rowspan.start
    axis.set_subplotspec(grid[start, :])
    low, high = np.nanquantile(field.values[chosen], (0.05, 0.95), axis=0)
    axis.fill_between(x, low, high, color="0.85", lw=0, label=f"90 % of {len(chosen)}")
    for number in reversed(range(min(3, len(field)))):
        axis.plot(x, field.values[number], color=COLORS[number], lw=2 if number == 0 else 1,
                  label=f"design {number + 1}")
    axis.set(xlabel=_label(field, dim), xlim=(x[0], x[-1]),
             ylabel=named(field, str(field.name)))
    axis.legend(ncols=4, loc="best")


def _maps(row: Any, field: xarray.DataArray, chosen: np.ndarray) -> None:
    """The three best, and the standard deviation of the feasible ones."""
    best = [(field.isel(sample=i), f"{field.name}: design {i + 1}") for i in range(min(COLUMNS - 1, len(field)))]
    _row(row, best, field)
    if len(best) < COLUMNS - 1:
        row[len(best)].set_axis_off()
    spread = field.isel(sample=chosen).std("sample")
    _map(row[-1], spread, f"{field.name}: std of {len(chosen)}", "magma", 0.0, float(spread.max()) or 1.0, field)


def _frames(row: Any, field: xarray.DataArray, chosen: np.ndarray) -> None:
    """The best one at four entries of its first axis, the first ones of the others."""
    best, first = field.isel(sample=0), field.dims[1]
    others = dict.fromkeys(field.dims[2:-2], 0)
    entries = np.unique(np.linspace(0, field.sizes[first] - 1, COLUMNS).round().astype(int))
    shown = [(best.isel({first: i, **others}), f"{field.name}: best\n{picked(field, field.dims, {first: i, **others})}")
             for i in entries]
    _row(row, shown, field)
    for axis in row[len(shown):]:
        axis.set_axis_off()


def _row(row: Any, shown: list[tuple[xarray.DataArray, str]], field: xarray.DataArray) -> None:
    """Maps of one colour scale, whose key stands beside the last of them."""
    values = np.stack([part.values for part, _ in shown])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    for number, (part, title) in enumerate(shown):
        _map(row[number], part, title, "viridis", low, high, field if number == len(shown) - 1 else None)
    row[0].set_ylabel(_label(field, field.dims[-1]))


def _map(axis: Any, part: xarray.DataArray, title: str, colors: str, low: float, high: float,
         told: xarray.DataArray | None) -> None:
    """A field over two axes, the first along x, the second along y; with the key of the colours if it is ``told``."""
    across, up = (places(part, dim) for dim in part.dims)
    shown = axis.pcolormesh(across, up, part.values.T, shading="nearest", cmap=colors, vmin=low, vmax=high)
    axis.set(title=title, xlabel=_label(part, part.dims[0]), xlim=cell_edges(across), ylim=cell_edges(up))
    axis.set_box_aspect(shape(across, up))
    if told is not None:
        key(axis, shown, named(told, ""))


def _shape(field: xarray.DataArray) -> float:
    return shape(*(places(field, dim) for dim in field.dims[-2:]))


def _values(axis: Any, values: np.ndarray, success: np.ndarray, label: str) -> None:
    """A number of each design, in their order."""
    order = np.arange(1, len(values) + 1)
    axis.scatter(order[~success], values[~success], s=14, color=BAD, label="not feasible")
    axis.scatter(order[success], values[success], s=14, color=GOOD, label="feasible")
    axis.scatter(order[:1], values[:1], s=40, color=BEST, marker="*", zorder=3, label="the best")
    axis.set(xlabel="design", title=label, xlim=(0.3, len(values) + 0.7))


def _label(field: xarray.DataArray, dim: Any) -> str:
    return named(field[dim], str(dim)) if dim in field.coords else str(dim)
