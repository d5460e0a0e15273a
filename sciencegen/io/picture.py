"""A picture of what is in a file: some fields of a few samples, or how tables of numbers are spread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray
from matplotlib import pyplot

__all__ = ["plot"]

SPACE = ("x", "y", "z")
MOST = 4
SHEET = Path(__file__).parents[1] / "sciencegen.mplstyle"  # of all pictures


def plot(dataset: xarray.Dataset) -> tuple[Any, Any]:
    """Figure and axes; never shown. A row a field (4 at most), a column a moment of the first sample, or a sample."""
    with pyplot.style.context(SHEET):
        return _fields(dataset)


def _fields(dataset: xarray.Dataset) -> tuple[Any, Any]:
    names = [str(k) for k, v in dataset.data_vars.items() if set(v.dims) & set(SPACE) and v.dtype.kind in "fiu"][:MOST]
    if not names:
        return _table(dataset)
    moments = _moments(dataset, names)
    figure, axes = pyplot.subplots(len(names), len(moments), squeeze=False,
                                   figsize=(min(8.4, 2.6 * len(moments) + 1), 2.3 * len(names)))
    for row, name in zip(axes, names):
        parts = [_slice(dataset[name], key) for key in moments]
        finite = np.concatenate([p.values[np.isfinite(p.values)].ravel() for p in parts])
        low, high = _range(finite)
        for ax, part, key in zip(row, parts, moments):
            image = _draw(ax, part, low, high)
            ax.set_title(_title(dataset, key) if name == names[0] else "")
        row[0].set_ylabel(f"{name}\n{row[0].get_ylabel()}")
        if image is not None:
            figure.colorbar(image, ax=row, label=dataset[name].attrs.get("units", "1").removeprefix("1"))
    return figure, axes


def _moments(dataset: xarray.Dataset, names: list[str]) -> list[dict[str, int]]:
    """First, middle and last frame of the first sample; or the first samples, where nothing moves."""
    if any("time" in dataset[name].dims for name in names):
        last = dataset.sizes["time"] - 1
        return [{"sample": 0, "time": i} for i in sorted({0, last // 3, 2 * last // 3, last})]
    return [{"sample": i} for i in range(min(MOST, dataset.sizes.get("sample", 1)))]


def _range(values: np.ndarray) -> tuple[float, float]:
    """Least and most; what has both signs is centred on zero."""
    if not values.size:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    return (-max(-low, high), max(-low, high)) if low < 0 < high else (low, high)


def _slice(field: xarray.DataArray, key: dict[str, int]) -> xarray.DataArray:
    """At one moment; of three axes in space the middle plane of the last."""
    part = field.isel({dim: i for dim, i in key.items() if dim in field.dims})
    rest = [dim for dim in part.dims if dim not in ("x", "y")] if part.ndim > 2 else []
    return part.isel({dim: part.sizes[dim] // 2 for dim in rest}).load()


def _draw(ax: Any, part: xarray.DataArray, low: float, high: float) -> Any:
    lines = [part[dim].values if dim in part.coords else np.arange(part.sizes[dim]) for dim in part.dims]
    if part.ndim == 1:
        ax.plot(lines[0], part.values, lw=1)
        ax.set(xlabel=part.dims[0], ylim=(low - 0.05 * (high - low) - 1e-30, high + 0.05 * (high - low) + 1e-30))
        return None
    ax.set(xlabel=part.dims[0], ylabel=part.dims[1], aspect="equal")
    ax.set_facecolor("lightgrey")  # where there is nothing: NaN
    return ax.pcolormesh(*lines, part.values.T, vmin=low, vmax=high, cmap="RdBu_r" if low < 0 < high else "viridis",
                         shading="nearest", rasterized=True)


def _title(dataset: xarray.Dataset, key: dict[str, int]) -> str:
    return ", ".join(f"{dim} {_value(dataset[dim].values[i])}" if dim in dataset.coords else f"{dim} {i}"
                     for dim, i in key.items())


def _value(value: Any) -> str:
    """A number in short, a date to the second."""
    return f"{value:.4g}" if np.issubdtype(np.asarray(value).dtype, np.number) else str(value)[:19]


def _table(dataset: xarray.Dataset) -> tuple[Any, Any]:
    """Histograms of what has one number a sample, at most 12."""
    names = [k for k, v in dataset.data_vars.items() if v.ndim == 1 and v.dtype.kind in "fiu"][:12]
    if not names:
        raise ValueError(f"got variables {list(dataset.data_vars)}; expected a field over x, or numbers by sample, to "
                         "plot; leave --plot out")
    rows = -(-len(names) // MOST)
    figure, axes = pyplot.subplots(rows, min(MOST, len(names)), squeeze=False,
                                   figsize=(min(8.4, 2.6 * min(MOST, len(names))), 2.2 * rows))
    for ax, name in zip(axes.flat, names):
        values = dataset[name].values
        ax.hist(values[np.isfinite(values)], 30)
        ax.set_xlabel(f"{name} ({dataset[name].attrs.get('units', '?')})")
    for ax in axes.flat[len(names):]:
        ax.set_axis_off()
    return figure, axes
