"""Pictures: functions of datasets and arrays that return figure and axes and never show them."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray
from matplotlib import pyplot

__all__ = ["posterior", "result"]


def result(history: xarray.Dataset, fun: np.ndarray, success: np.ndarray) -> tuple[Any, Any]:
    """Each term's energy over the noise level (median and 80 % band), and the sorted objective; figure and axes."""
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    terms = history.drop_vars("acceptance", errors="ignore")  # a probability, not an energy
    for name, term in terms.data_vars.items():
        term = term.dropna("step", how="all")  # of one stage of several
        low, middle, high = (term.quantile(q, "sample") for q in (0.1, 0.5, 0.9))
        axes[0].plot(term.sigma, middle, label=name)
        axes[0].fill_between(term.sigma, low, high, alpha=0.2)
    axes[0].set(xscale="log", xlabel="noise level", ylabel="energy of the term")
    axes[0].set_yscale("symlog")
    axes[0].invert_xaxis()
    if terms.data_vars:
        axes[0].legend(frameon=False)
    order = np.argsort(fun)
    colors = np.where(success[order], "tab:green", "tab:red")
    axes[1].scatter(np.arange(len(fun)), fun[order], c=colors, s=12)
    axes[1].set(xlabel="sample, best first", ylabel="objective", title=f"{int(success.sum())} of {len(fun)} feasible")
    return figure, axes


def posterior(statistics: xarray.Dataset, data: xarray.Dataset, truth: xarray.Dataset) -> tuple[Any, Any]:
    """Truth (if known), data, mean and spread side by side, a row a variable; figure and axes ``(rows, columns)``.

    ``statistics`` has the dim ``statistic``. Of a variable of more than two axes that entry of the first ones is drawn
    at which most was read, with what was read there; a variable without axes is left out.
    """
    names = [name for name, value in statistics.data_vars.items() if value.ndim > 1]
    columns = [*(["truth"] if len(truth) else []), "data", "mean", "spread"]
    flat = all(statistics[name].ndim == 2 for name in names)
    figure, axes = pyplot.subplots(len(names), len(columns), squeeze=False, layout="constrained",
                                   figsize=(3.2 * len(columns), (2.4 if flat else 2.9) * len(names)))
    for row, name in zip(axes, names):
        here = data.isel(measurement=data.variable.values == name) if "variable" in data else data.isel(measurement=[])
        at, here = _read_most(statistics[name], here)
        value, real = statistics[name].isel(at), truth[name].isel(at) if len(truth) else None
        draw = _curves if value.ndim == 2 else _maps
        draw(row, columns, value, real, here)
        where = ", ".join(f"{d} {float(value[d]):.3g}" if d in value.coords else f"{d} {i}" for d, i in at.items())
        for axis, column in zip(row, columns):
            axis.set_title(f"{name}: {column}\n{where}" if where else f"{name}: {column}")
    return figure, axes


def _curves(row: Any, columns: list[str], value: xarray.DataArray, truth: xarray.DataArray | None,
            data: xarray.Dataset) -> None:
    """One variable over its one axis."""
    dim, unit = value.dims[-1], _unit(value)
    x = value[dim] if dim in value.coords else np.arange(value.sizes[dim])
    for axis, column in zip(row, columns):
        if column in ("truth", "mean") and truth is not None:
            axis.plot(x, truth, "k--" if column == "mean" else "k-", linewidth=1.2, label="truth")
        if column in ("data", "mean"):
            axis.errorbar(data.get(dim, np.arange(0)), data.value, yerr=data.noise, fmt=".", color="tab:red", capsize=2)
        if column == "mean":
            axis.fill_between(x, value.sel(statistic="lower"), value.sel(statistic="upper"), alpha=0.3, linewidth=0)
            axis.plot(x, value.sel(statistic="mean"), label="mean")
            axis.legend(frameon=False)
        if column == "spread":
            axis.plot(x, value.sel(statistic="spread"))
            axis.set_ylim(bottom=0)
        axis.set(xlabel=dim, xlim=(float(x[0]), float(x[-1])))
    row[0].set_ylabel(unit)
    shared = [axis for axis, column in zip(row, columns) if column != "spread"]
    low, high = zip(*(axis.get_ylim() for axis, column in zip(row, columns) if column in ("truth", "mean")))
    for axis in shared:
        axis.set_ylim(min(low), max(high))


def _maps(row: Any, columns: list[str], value: xarray.DataArray, truth: xarray.DataArray | None,
          data: xarray.Dataset) -> None:
    """One variable over its two axes: the first one along x, the second along y."""
    across, up = value.dims[-2:]
    grid = [value[d] if d in value.coords else np.arange(value.sizes[d]) for d in (across, up)]
    fields = {"truth": truth, "mean": value.sel(statistic="mean"), "spread": value.sel(statistic="spread")}
    ends = [f for f in (truth, fields["mean"]) if f is not None]
    scale = {"vmin": min(float(f.min()) for f in ends), "vmax": max(float(f.max()) for f in ends)}
    for axis, column in zip(row, columns):
        look = {"vmin": 0.0, "cmap": "magma"} if column == "spread" else scale | {"cmap": "viridis"}
        if column == "data":
            places = [data.get(d, np.arange(0)) for d in (across, up)]
            axis.scatter(*places, c=data.value, s=18, edgecolors="0.3", linewidths=0.4, **look)
            axis.set_facecolor("0.93")
        else:
            shown = axis.pcolormesh(*grid, fields[column].values.T, shading="nearest", **look)
        axis.set(xlabel=across, xlim=_ends(grid[0]), ylim=_ends(grid[1]), aspect="equal")
        if column in ("mean", "spread"):  # truth and data have the mean's colours
            beside = axis.inset_axes((1.04, 0, 0.05, 1))
            axis.figure.colorbar(shown, cax=beside, label=_unit(value)).formatter.set_powerlimits((-2, 4))
    row[0].set_ylabel(up)


def _ends(axis: Any) -> tuple[float, float]:
    """The outer edges of the first and the last cell."""
    axis = np.asarray(axis, dtype=float)
    half = (axis[-1] - axis[0]) / max(len(axis) - 1, 1) / 2 or 0.5
    return axis[0] - half, axis[-1] + half


def _read_most(value: xarray.DataArray, data: xarray.Dataset) -> tuple[dict[Any, int], xarray.Dataset]:
    """Of all axes but the last two the entry at which most was read, and what was read there."""
    found = {}
    for dim in [d for d in value.dims if d != "statistic"][:-2]:
        axis = value[dim].values if dim in value.coords else np.arange(value.sizes[dim])
        if dim not in data or not data.sizes["measurement"] or axis.dtype.kind not in "fiu":
            found[dim] = 0
            continue
        nearest = np.abs(data[dim].values[:, None] - axis).argmin(1)
        found[dim] = int(np.bincount(nearest, minlength=len(axis)).argmax())
        data = data.isel(measurement=nearest == found[dim])
    return found, data


def _unit(value: xarray.DataArray) -> str:
    return value.attrs.get("units", "")
